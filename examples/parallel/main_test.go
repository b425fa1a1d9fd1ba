package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Program(main)
	kafkatest.Main(m)
}

// check runs the example as a process of its own, and looks at what it prints.
func check(t *testing.T, kafka string) {
	t.Helper()
	stdout, stderr := testkit.Output(t, "KAFKAESK_KAFKA_SERVERS="+kafka)
	var text strings.Builder
	for line := range strings.Lines(stdout) {
		if before, _, ok := strings.Cut(line, "; the last error: "); ok {
			line = before + "\n"
		}
		text.WriteString(line)
	}
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s\n%s", diff, stderr)
	}
}

const want = `26 jobs:
  20 done
   1 done at another attempt
   2 done by the slow workers
   3 given up

3 dead letters:
jobs.quick-workers.dead
    {"schema":"Job:1","data":{"name":"letter to nobody","customer":"customer 4","takes":10000000,"fails":1000}}
    first in jobs, attempts 3: the printer is out of paper
jobs.quick-workers.dead
    {"schema":"Job:1","data":{"name":"torn page","customer":"customer 4","takes":10000000,"broken":true}}
    first in jobs, attempts 1: rejected: it cannot be read
jobs.slow.slow-workers.dead
    {"schema":"Job:1","data":{"name":"book without an end","customer":"customer 3","takes":3600000000000}}
    first in jobs.slow, attempts 1: the record was not handled within 1.5s: context deadline exceeded
`

func TestWithNothingButGo(t *testing.T) {
	t.Parallel()
	check(t, "")
}

// A Kafka that stays has the jobs and the dead letters of earlier runs too.
func TestOnAKafkaThatStays(t *testing.T) {
	t.Parallel()
	// the streams of the example have no prefix
	servers := strings.Join(kafkatest.Start(t, kafkatest.Own()).Servers(), ",")
	for range 2 {
		check(t, servers)
	}
}
