package group

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// A group whose members share no assignor with this one is told of once a minute, with what the others have to offer;
// so does the status.
func TestAnInconsistentProtocolIsOneLineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := kafka.NewClient([]string{"127.0.0.1:1"}, kafka.DefaultSettings(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var log bytes.Buffer
		m := New(client, Config{Group: "g", Consumer: nobody{}, Match: func(string) bool { return true },
			Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 90 { // each two seconds, for three minutes
			m.recordEvent(eventData{event: event{kind: failed, err: kafka.CodeErr(int16(codeInconsistentProtocol))}})
			time.Sleep(2 * time.Second)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 3 {
			t.Errorf("%d lines in three minutes: %s", n, &log)
		}
		for _, text := range []string{"roundrobin", "RangeAssignor", "CooperativeStickyAssignor"} {
			if got := m.Status().LastError.Error(); !strings.Contains(got, text) || !strings.Contains(log.String(), text) {
				t.Errorf("error %q, log %s: want both to have %q", got, &log, text)
			}
		}
	})
}
