// Service is a small system that is complete: an HTTP API that publishes orders, a worker that bills them, logs that go
// to Kafka and to standard error, a monitor, and tests. It uses what every module may import, so that it can be copied.
//
//	make service                                   with a Kafka of its own, which needs only Go
//	docker compose --profile service up --build    with Apache Kafka, Prometheus and Grafana
//
// then
//
//	curl -d '{"id":"a1","amount":5}' localhost:8080/orders
//	curl localhost:8080/orders/a1
//
// It takes a worker's flags and variables (--help lists them): KAFKAESK_KAFKA_SERVERS, KAFKAESK_LISTEN for the monitor.
// Its own are SERVICE_ADDRESS, where the API listens (127.0.0.1:8080), and SERVICE_SPOOL, a directory for logs that
// Kafka does not take yet (none).
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
	app := bus.New(bus.Config{}) // the worker's flags and variables complete it

	// The logs of this process, for people and for Kafka. The bus's own never go through the bus.
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
	worker.Main(app) // runs until a signal, and closes the App, which ships the last logs
}
