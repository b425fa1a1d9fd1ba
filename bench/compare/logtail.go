//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tailing has logtail and kcat write the log records of one stream into a file. One record in a hundred is an error.
func tailing() []comparison {
	const stream, records = "logs.shop", 1_000_000
	logtail := func(more ...string) measurement {
		return func(ctx context.Context, p place) (figures, error) {
			args := []string{"-q", "-b", strings.Join(p.Servers, ","), "--topic-prefix", p.Prefix, "--from=start",
				"--no-follow"}
			return program(ctx, logtailBinary(), append(append(args, more...), stream)...)
		}
	}
	kcat := func(more ...string) measurement {
		return func(ctx context.Context, p place) (figures, error) {
			args := []string{"-b", strings.Join(p.Servers, ","), "-C", "-e", "-q", "-o", "beginning", "-t",
				p.Prefix + stream}
			return program(ctx, "kcat", append(args, more...)...)
		}
	}
	return []comparison{{
		name:  "logtail",
		about: "1,000,000 log records of 7 partitions into a file",
		setup: func(ctx context.Context, p place) error {
			build := exec.CommandContext(ctx, "go", "build", "-o", logtailBinary(), "./cmd/logtail")
			build.Dir = ".." // compare is run in bench
			build.Stderr = os.Stderr
			if err := build.Run(); err != nil {
				return fmt.Errorf("building logtail: %w", err)
			}
			if err := makeTopics(ctx, p, 7, stream); err != nil {
				return err
			}
			return fillLogs(ctx, p, stream, records)
		},
		peers: map[string]measurement{
			ours: logtail(), "logtail --window 0": logtail("--window=0"), "logtail -l error": logtail("-l", "error"),
			"logtail --field": logtail("--field", "status=500"), "logtail -g": logtail("-g", "pay.*refused"),
			"kcat": kcat(), "kcat -J": kcat("-J"),
		},
	}}
}

// logtailBinary is where setup builds it and the measurements find it.
func logtailBinary() string { return filepath.Join(os.TempDir(), "kafkaesk-compare-logtail") }

// program runs a program that writes into a file, and measures it.
func program(ctx context.Context, name string, args ...string) (figures, error) {
	out, err := os.CreateTemp("", "kafkaesk-compare-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer out.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(began)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()
	return figures{{"time s", took.Seconds()}, {"cpu s", cpu.Seconds()}, {"peak memory MB",
		float64(usage.Maxrss) / 1000}}, nil
}

// fillLogs writes log records as slogkafka writes them, in the order of their times.
func fillLogs(ctx context.Context, p place, stream string, records int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Servers...), kgo.DefaultProduceTopic(p.Prefix+stream),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	begin := time.Now().Add(-time.Hour)
	for i := range records {
		at := begin.Add(time.Duration(i) * time.Millisecond)
		severity, level, status, message := "INFO", 20, 200, "request handled"
		if i%100 == 0 {
			severity, level, status, message = "ERROR", 40, 500, "payment refused"
		}
		value := fmt.Appendf(nil,
			`{"schema":"LogRecord:1","data":{"timestamp":%q,"severity":%q,"level":%d,"message":%q,"logger":null,`+
				`"exception":null,"trace":null,"stack":null,"hostname":"shop-7d9f-x2k","service":"shop","namespace":"prod",`+
				`"cluster":"eu","user":"user-%d","path":"/orders/%d","status":%d,"took":%d}}`,
			at.UTC().Format("2006-01-02T15:04:05.000000000Z"), severity, level, message, i%5000, i, status, 1_000_000+i)
		header := kgo.RecordHeader{Key: "kafkaesk-id", Value: fmt.Appendf(nil, "0199f6a0-0000-7000-8000-%012d", i)}
		client.Produce(ctx, &kgo.Record{Value: value, Timestamp: at, Headers: []kgo.RecordHeader{header}},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
