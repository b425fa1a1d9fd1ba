package operate

import (
	"context"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
)

// A probe passes when the limits are kept, and not when nobody can tell.
func TestAProbeFailsWhenTheLagIsNotKnown(t *testing.T) {
	t.Parallel()
	five, six := new(int64(5)), new(int64(6))
	known := inspect.Lag{Committed: five, End: six, Lag: new(int64(1)), AgeSeconds: new(1.0)}
	behind := inspect.Lag{Committed: new(int64(0)), End: six, Lag: six, AgeSeconds: new(1.0)}
	noEnd := inspect.Lag{Committed: five, Note: "the partition's end could not be looked up"}
	noCommit := inspect.Lag{End: six}
	probe := limits{lag: 5, hasLag: true}
	tests := []struct {
		name   string
		limits limits
		rows   []inspect.Lag
		want   int
	}{
		{"within the limit", probe, []inspect.Lag{known, noCommit}, cli.OK},
		{"above it", probe, []inspect.Lag{noEnd, behind}, cli.Failed},
		{"not known", probe, []inspect.Lag{known, noEnd}, lagOther},
		{"not known, and only the age has a limit", limits{hasAge: true, age: 2e9}, []inspect.Lag{noEnd}, lagOther},
		{"not known, and without a limit", limits{}, []inspect.Lag{noEnd}, cli.OK},
	}
	over, end := context.WithCancel(t.Context())
	end()
	if code, _ := cli.Code(asLag(probe.compare(over, []inspect.Lag{known}))); code != lagOther {
		t.Errorf("the time is over: exit code %d, want %d", code, lagOther)
	}
	for _, test := range tests {
		err := asLag(test.limits.compare(t.Context(), test.rows))
		if code, _ := cli.Code(err); code != test.want {
			t.Errorf("%s: exit code %d, %v; want %d", test.name, code, err, test.want)
		}
	}
}
