package fetch_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// BenchmarkFetch reads 350,000 records of 200 bytes from 7 partitions, beside franz-go reading the same.
// Run it with KAFKA=apache: the embedded broker is slower than either.
func BenchmarkFetch(b *testing.B) {
	const partitions, each = 7, 50_000
	cluster := kafkatest.Start(b)
	topic := cluster.Prefix(b) + "topic"
	client, err := kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureTopic(b.Context(), topic, kafka.TopicSpec{Partitions: partitions}); err != nil {
		b.Fatal(err)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(cluster.Servers()...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(partitions*each))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for i := range partitions * each {
		p.Produce(b.Context(), &kgo.Record{Partition: int32(i % partitions), Value: fmt.Appendf(nil, "%0200d", i)}, nil)
	}
	if err := p.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	report := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*partitions*each/b.Elapsed().Seconds()/1e6, "Mrecords/s")
		b.ReportMetric(0, "ns/op")
	}
	read := func(b *testing.B, take func(*fetch.Chunk)) {
		b.ReportAllocs()
		for b.Loop() {
			f := fetch.New(client, fetch.Options{})
			for id := range int32(partitions) {
				f.Add(kafka.TopicPartition{Topic: topic, Partition: id}, 0)
			}
			for n := 0; n < partitions*each; {
				c, err := f.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				n += len(c.Records)
				take(c)
			}
			f.Close()
		}
		report(b)
	}
	b.Run("kafkaesk", func(b *testing.B) { read(b, func(*fetch.Chunk) {}) })
	b.Run("franz-go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := kgo.NewClient(kgo.SeedBrokers(cluster.Servers()...), kgo.ConsumeTopics(topic),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < partitions*each; {
				fetches := c.PollFetches(context.Background())
				if err := fetches.Err(); err != nil {
					b.Fatal(err)
				}
				n += fetches.NumRecords()
			}
			c.Close()
		}
		report(b)
	})
}
