package lanes_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// Nothing overtakes an item that waits when its partition ends: what it held back must not begin in the moment in
// which it is let go.
func TestNothingOvertakesAWaitingItemAtTheEnd(t *testing.T) {
	t.Parallel()
	type lane struct {
		part int
		key  string
	}
	for _, m := range modes {
		if m.Mode == lanes.Unordered {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			waits := make(map[lane]int64)
			o := options(m.Options)
			o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
				l := lane{part: i.part}
				if m.Mode == lanes.ByKey {
					l.key = i.key
				}
				mu.Lock()
				defer mu.Unlock()
				if offset, ok := waits[l]; ok && offset != i.offset {
					t.Errorf("offset %d of partition %d begins, and offset %d before it waits", i.offset, i.part, offset)
				}
				if i.offset == 3 {
					waits[l] = i.offset
					return false, &lanes.Retry{At: time.Now().Add(time.Hour)}
				}
				return true, nil
			}
			p := lanes.New(o)
			for part := range 2000 {
				x := p.Open(t.Context(), ignore)
				x.Add(items(part, 0, 100, "a", "a", "a", "a", "b"), 100)
				for range part % 50 {
					runtime.Gosched()
				}
				x.Stop()
				<-x.Idle()
			}
			p.Close()
		})
	}
}
