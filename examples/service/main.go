// Service is a small complete system: an HTTP API that publishes orders, a worker that bills them, logs to Kafka and
// to standard error, a monitor, and tests. It imports only public packages, so that it can be copied.
//
//	make service                                   with a Kafka of its own, which needs only Go
//	docker compose --profile service up --build    with Apache Kafka, Prometheus and Grafana
//
// then
//
//	curl -d '{"id":"a1","amount":5}' localhost:8080/orders
//	curl localhost:8080/orders/a1
//
// It has a worker's flags and variables (--help lists them), such as KAFKAESK_KAFKA_SERVERS and KAFKAESK_LISTEN for
// the monitor. SERVICE_ADDRESS sets the address of the API (127.0.0.1:8080), and SERVICE_SPOOL a directory for log
// records that Kafka cannot accept yet (none).
package main

import (
	"cmp"
	"log/slog"
	"os"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/worker"
	"github.com/kafkaesk/kafkaesk/examples/service/orders"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

func main() {
	app := bus.New(bus.Config{}) // the worker's flags and variables configure it

	// The logs of this process go to people and to Kafka. The bus's own log records never go through the bus.
	local := slogkafka.NewStreamHandler(os.Stderr, slogkafka.Text())
	var spool slogkafka.Option
	if dir := os.Getenv("SERVICE_SPOOL"); dir != "" {
		spool = slogkafka.Overflow(slogkafka.Spool(dir, 256<<20))
	}
	shipped := slogkafka.NewHandler(app, "logs.orders", slogkafka.Service("orders"), slogkafka.Fallback(local),
		slogkafka.WhenConfigured(), spool)
	slog.SetDefault(slog.New(slog.NewMultiHandler(local, shipped)))

	service := orders.New(app)
	orders.Serve(app, service.Handler(), cmp.Or(os.Getenv("SERVICE_ADDRESS"), "127.0.0.1:8080"))
	worker.Main(app) // runs until a signal, then closes the App, which delivers the last logs
}
