# `make` alone lists the targets: every line `name: ## text` is one.

SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 5m

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z\/-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the programs into bin/
	go build -trimpath -o bin/ ./cmd/...

.PHONY: test
test: ## run the tests on the embedded broker
	go test ./...

.PHONY: test/race
test/race: ## the same under the race detector
	go test -race ./...

.PHONY: test/kafka
test/kafka: ## the same on a real Apache Kafka (needs java, and mvn once)
	KAFKA=apache go test -p 1 ./...

.PHONY: proof
proof: ## the long proofs: tests that were unstable 200 times, and the whole suite three times, on busy cores
	bash .ci/proof

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint (.golangci.yml)
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted" >&2; exit 1; fi
	go vet ./...
	go run $(GOLANGCI) run ./...
	cd bench && go run $(GOLANGCI) run --config ../.golangci.yml ./...
	cd interop && go run $(GOLANGCI) run --config ../.golangci.yml ./...

.PHONY: fmt
fmt: ## format the code
	gofmt -w .

.PHONY: fuzz
fuzz: ## run every fuzz test for FUZZTIME (5m), with bounded memory
	bash .ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## run the benchmarks beside other clients, on a real Apache Kafka
	cd bench && KAFKA=apache go test -run '^$$' -bench . -benchmem ./...

.PHONY: pictures
pictures: ## take the pictures of the documentation (needs Chromium)
	go test ./cmd/logtail ./bus/monitor -run '^TestPictures$$' -pictures

.PHONY: tidy
tidy: ## tidy the modules
	go mod tidy
	cd bench && go mod tidy
	cd interop && go mod tidy

.PHONY: ci
ci: ## do what the hosted CI does
	bash .ci/run

.PHONY: kafka/up
kafka/up: ## start Apache Kafka on localhost:9092 (needs Docker with Compose v2)
	docker compose up --detach --wait

.PHONY: kafka/down
kafka/down: ## stop it and delete its data
	docker compose down --volumes

.PHONY: broker
broker: ## run the development broker on 127.0.0.1:9092
	go run ./cmd/kafkaesk broker

.PHONY: service
service: ## run examples/service, with the development broker, until Ctrl-C
	go build -o bin/ ./cmd/kafkaesk ./examples/service
	@set -m; bin/kafkaesk broker --ephemeral & broker=$$!; trap 'kill $$broker' EXIT; \
	KAFKAESK_KAFKA_SERVERS=127.0.0.1:9092 KAFKAESK_LISTEN=127.0.0.1:9095 bin/service

.PHONY: release/snapshot
release/snapshot: ## build what a release has, and publish nothing (needs goreleaser)
	goreleaser release --snapshot --clean --skip=publish
