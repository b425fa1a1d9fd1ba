package slogkafka

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kafkaesk/kafkaesk/bus"
)

// farListener is a network whose round trips take longer: what a client sends arrives that much later.
type farListener struct {
	net.Listener
	delay time.Duration
}

func (l farListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f := &farConn{Conn: conn, delay: l.delay, parts: make(chan part, 1<<16)}
	go f.receive()
	return f, nil
}

type farConn struct {
	net.Conn
	delay time.Duration
	parts chan part // has room for all that is on its way
	rest  []byte
}

type part struct {
	due  time.Time
	data []byte
}

func (f *farConn) receive() {
	defer close(f.parts)
	for {
		data := make([]byte, 64<<10)
		n, err := f.Conn.Read(data)
		if err != nil {
			return
		}
		f.parts <- part{time.Now().Add(f.delay), data[:n]}
	}
}

func (f *farConn) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		next, ok := <-f.parts
		if !ok {
			return 0, io.EOF
		}
		time.Sleep(time.Until(next.due))
		f.rest = next.data
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// BenchmarkDeliveryFromFarAway is BenchmarkDelivery to a broker that is 50 ms away. It prints the bytes of values a
// second as a part of partitions x max_batch_size / round trip, which is the most with one batch of each partition on
// its way. Values are 0.86 of what a batch has; the rest are their ids and lengths.
//
// With batches of 64 KiB the most is 9 MB a second, and what is missing is time that batches wait. With 512 KiB it is
// 73 MB a second, of which the processor, and the embedded broker's disk, are a part.
func BenchmarkDeliveryFromFarAway(b *testing.B) {
	const roundTrip, partitions = 50 * time.Millisecond, 7
	listen := func(network, address string) (net.Listener, error) {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), network, address)
		return farListener{l, roundTrip}, err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(listen))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	value := []byte(strings.Repeat("x", 355))
	for _, kilobytes := range []int{64, 128, 512} {
		b.Run(fmt.Sprintf("max_batch_size=%dKiB", kilobytes), func(b *testing.B) {
			batch := kilobytes << 10
			app := bus.New(bus.Config{
				Servers: cluster.ListenAddrs(), Logger: slog.New(slog.DiscardHandler),
				Settings: bus.Settings{"compression_type": "none", "linger_ms": 5, "max_batch_size": batch},
			})
			if err := app.PublishRaw(b.Context(), "logs", value); err != nil {
				b.Fatal(err)
			}
			deliver(b, app, value, 8, QueueSize(1_000_000, 128<<20))
			rate := float64(b.N*len(value)) / b.Elapsed().Seconds()
			b.ReportMetric(rate/(partitions*float64(batch)/roundTrip.Seconds()), "of-the-most")
			if err := app.Close(context.Background()); err != nil {
				b.Error(err)
			}
		})
	}
}
