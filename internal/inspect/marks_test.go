package inspect

import (
	"testing"
	"time"
)

// Marks of dead letters that are gone, and of a stream that was deleted and made again, count for none that is there.
func TestMarksOfOtherDeadLetters(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	d := DeadLetters{Records: 10, begins: map[int32]beginning{1: {offset: 5, time: now}}}
	d.countOpen(map[string]mark{
		"1/5": {now.UnixMilli()}, "1/9": {now.UnixMilli() + 7}, // of two that are there
		"1/4": {now.UnixMilli()}, "1/6": {now.UnixMilli() - 1}, "2/5": {now.UnixMilli()}, "x": {now.UnixMilli()}, "": {},
	}, true)
	if d.Open == nil || *d.Open != 8 {
		t.Errorf("%v are open, want 8", d.Open)
	}
	d.Open = nil
	if d.countOpen(nil, false); d.Open != nil {
		t.Errorf("%d are open, although not all was read", *d.Open)
	}
}
