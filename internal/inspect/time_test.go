package inspect

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// TestAnyTimestampCanBeShown is why one record with a hostile time does not make the list of all streams an error.
func TestAnyTimestampCanBeShown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		ms   int64
		want bool
	}{
		{math.MinInt64, false}, {-1, false}, {0, false}, {1, true},
		{time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli(), true},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), false},
		{math.MaxInt64 / 2, false}, {math.MaxInt64, false},
	}
	for _, test := range tests {
		var d DeadLetters
		d.see(&wire.Record{Time: time.UnixMilli(test.ms)})
		if (d.Oldest != nil) != test.want {
			t.Errorf("%d ms: oldest %v, want one: %t", test.ms, d.Oldest, test.want)
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("%d ms: %v", test.ms, err)
		}
	}
}
