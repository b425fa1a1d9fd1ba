package inspect

import (
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// Marks of dead letters that are gone, and of a stream that was deleted and made again, count for none that is there.
func TestMarksOfOtherDeadLetters(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	d := DeadLetters{Records: 10, begins: map[int32]beginning{1: {offset: 5, time: now}}}
	of := func(at time.Time) streams.Mark { return streams.Mark{RecordTime: at.UnixMilli()} }
	d.countOpen(streams.Marks{
		"1/5": of(now), "1/9": of(now.Add(7 * time.Millisecond)), // of two that are there
		"1/4": of(now), "1/6": of(now.Add(-time.Millisecond)), "2/5": of(now), "x": of(now), "": {},
	}, true)
	if d.Open == nil || *d.Open != 8 {
		t.Errorf("%v are open, want 8", d.Open)
	}
	d.Open = nil
	if d.countOpen(nil, false); d.Open != nil {
		t.Errorf("%d are open, although not all was read", *d.Open)
	}
}
