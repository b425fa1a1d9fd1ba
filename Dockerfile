# The programs of this repository as images without a shell, run by a user without rights:
#
#   docker build --target tools -t kafkaesk .      kafkaesk and logtail
#   docker build --target service -t service .     examples/service
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
# The version comes from the tag and the commit in .git.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w" -o /out/ ./cmd/kafkaesk ./cmd/logtail ./examples/service

FROM gcr.io/distroless/static-debian12:nonroot AS service
COPY --from=build /out/service /usr/local/bin/service
# The API and the monitor. Both have to be told to listen to others than this container.
ENV SERVICE_ADDRESS=0.0.0.0:8080 KAFKAESK_LISTEN=0.0.0.0:9095
EXPOSE 8080 9095
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/service"]

# The last stage is what a build without --target makes.
FROM gcr.io/distroless/static-debian12:nonroot AS tools
COPY --from=build /out/kafkaesk /out/logtail /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/kafkaesk"]
