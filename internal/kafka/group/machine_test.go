package group

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newMachine() *machine {
	return &machine{generation: unjoined, backoff: func(n int) time.Duration {
		return time.Duration(n+1) * 100 * time.Millisecond
	}}
}

// in returns a machine that has come to a state as member "m" of generation 7, its last join 10s ago.
func in(t *testing.T, s State) *machine {
	t.Helper()
	m := newMachine()
	way := []event{
		{kind: changed}, {kind: named, id: "m"}, {kind: joined, id: "m", generation: 7}, {kind: synced},
		{kind: beaten, id: "m", generation: 7, err: codeRebalance}, {kind: drained},
	}
	switch s {
	case Idle:
		way = append(way, event{kind: failed, err: kafka.CodeError(16)})
	case Joining:
	case Syncing:
		way = append(way, event{kind: joined, id: "m", generation: 7})
	case Stable:
		way = way[:4]
	case Draining:
		way = way[:5]
	}
	for _, e := range way {
		m.handle(start.Add(-10*time.Second), e)
	}
	if m.state != s || m.id != "m" || m.generation != 7 {
		t.Fatalf("cannot get to %s: %+v", s, m)
	}
	return m
}

func (a action) String() string {
	name := [...]string{"join", "sync", "assign", "drain", "abandon", "wait", "leave"}[a.kind]
	if a.kind == doWait {
		name += " " + a.pause.String()
	}
	return name
}

func names(actions []action) []string {
	var s []string
	for _, a := range actions {
		s = append(s, a.String())
	}
	return s
}

var errNetwork = errors.New("connection reset by peer")

// TestEveryAnswerInEveryState is the member's behaviour in one table: each answer that a broker can give, to each
// request that may bring it, in each state.
func TestEveryAnswerInEveryState(t *testing.T) {
	t.Parallel()
	code := func(c int16) error { return kafka.CodeErr(c) }
	const keeps, noGeneration, nothing = "m/7", "m/-1", "/-1" // what it still believes itself to be
	tests := []struct {
		state State
		what  eventKind
		errs  []error
		then  State
		do    []string
		who   string
	}{
		// A join or a sync that failed.
		{Joining, failed, []error{code(14), code(15), code(16), code(27), code(8), code(79), code(80), code(-1), errNetwork},
			Idle, []string{"wait 100ms"}, keeps},
		{Joining, failed, []error{code(22)}, Idle, []string{"wait 100ms"}, noGeneration},
		{Joining, failed, []error{code(25), code(69)}, Idle, []string{"wait 100ms"}, nothing},
		{Joining, failed, []error{code(23)}, Idle, []string{"wait 100ms"}, keeps},
		{Joining, failed, []error{code(81), code(30), code(58)}, Idle, []string{"wait 5s"}, keeps},
		{Joining, failed, []error{code(82)}, Dead, nil, "/7"},
		{Joining, failed, []error{code(24), code(26), code(35), code(42), kafka.ErrTooOld, kafka.ErrClosed}, Dead,
			[]string{"leave"}, noGeneration},
		{Syncing, failed, []error{code(14), code(15), code(16), code(27), code(8), errNetwork}, Idle,
			[]string{"wait 100ms"}, keeps},
		{Syncing, failed, []error{code(22)}, Idle, []string{"wait 100ms"}, noGeneration},
		{Syncing, failed, []error{code(25), code(69)}, Idle, []string{"wait 100ms"}, nothing},
		{Syncing, failed, []error{code(23)}, Idle, []string{"wait 100ms"}, keeps},
		{Syncing, failed, []error{code(81), code(29), code(30)}, Idle, []string{"wait 5s"}, keeps},
		{Syncing, failed, []error{code(82)}, Dead, nil, "/7"},
		{Syncing, failed, []error{code(24), code(26), code(35)}, Dead, []string{"leave"}, noGeneration},

		// Heartbeats. What says nothing about the membership changes nothing.
		{Idle, beaten, []error{nil, code(14), code(15), code(16), code(27), code(8), code(30), code(79), code(81),
			errNetwork}, Idle, nil, keeps},
		{Syncing, beaten, []error{nil, code(14), code(15), code(16), code(8), code(30), code(81), errNetwork},
			Syncing, nil, keeps},
		{Stable, beaten, []error{nil, code(14), code(15), code(16), code(8), code(30), code(81), errNetwork},
			Stable, nil, keeps},
		{Draining, beaten, []error{nil, code(14), code(15), code(16), code(27), code(8), code(30), errNetwork},
			Draining, nil, keeps},
		{Joining, beaten, []error{nil, code(14), code(15), code(16), code(27), code(22), code(25), code(30), errNetwork},
			Joining, nil, keeps},
		{Syncing, beaten, []error{code(27)}, Idle, []string{"abandon", "wait 100ms"}, keeps},
		{Stable, beaten, []error{code(27)}, Draining, []string{"drain"}, keeps},
		{Idle, beaten, []error{code(22), code(42)}, Idle, nil, noGeneration},
		{Syncing, beaten, []error{code(22), code(42)}, Idle, []string{"abandon", "wait 100ms"}, noGeneration},
		{Stable, beaten, []error{code(22), code(42)}, Draining, []string{"drain"}, noGeneration},
		{Draining, beaten, []error{code(22), code(42)}, Draining, nil, noGeneration},
		{Idle, beaten, []error{code(25), code(69)}, Idle, nil, nothing},
		{Syncing, beaten, []error{code(25), code(69)}, Idle, []string{"abandon", "wait 100ms"}, nothing},
		{Stable, beaten, []error{code(25), code(69)}, Draining, []string{"drain"}, nothing},
		{Draining, beaten, []error{code(25), code(69)}, Draining, nil, nothing},
		{Idle, beaten, []error{code(82)}, Dead, nil, "/7"},
		{Joining, beaten, []error{code(82)}, Dead, []string{"abandon"}, "/7"},
		{Syncing, beaten, []error{code(82)}, Dead, []string{"abandon"}, "/7"},
		{Stable, beaten, []error{code(82)}, Draining, []string{"drain"}, keeps},
		{Draining, beaten, []error{code(82)}, Draining, nil, keeps},

		// Commits that were refused for what the member is. The machine hears of no others.
		{Stable, refused, []error{code(27)}, Draining, []string{"drain"}, keeps},
		{Stable, refused, []error{code(22)}, Draining, []string{"drain"}, noGeneration},
		{Stable, refused, []error{code(25), code(69)}, Draining, []string{"drain"}, nothing},
		{Stable, refused, []error{code(82)}, Draining, []string{"drain"}, keeps},
		{Draining, refused, []error{code(27), code(82)}, Draining, nil, keeps},
		{Draining, refused, []error{code(25)}, Draining, nil, nothing},
		{Joining, refused, []error{code(22), code(25), code(27)}, Joining, nil, keeps},
		{Idle, refused, []error{code(27)}, Idle, nil, keeps},

		// Everything else.
		{Idle, woke, []error{nil}, Joining, []string{"join"}, keeps},
		{Idle, changed, []error{nil}, Idle, nil, keeps},
		{Idle, unseen, []error{code(31), errNetwork, nil, kafka.ErrTooOld}, Idle, nil, keeps},
		{Joining, joined, []error{nil}, Syncing, []string{"sync"}, keeps},
		{Joining, named, []error{nil}, Idle, []string{"wait 100ms"}, keeps},
		{Joining, changed, []error{nil}, Joining, nil, keeps},
		{Joining, woke, []error{nil}, Joining, nil, keeps},
		{Syncing, synced, []error{nil}, Stable, []string{"assign"}, keeps},
		{Syncing, changed, []error{nil}, Syncing, nil, keeps},
		{Stable, changed, []error{nil}, Draining, []string{"drain"}, keeps},
		{Stable, woke, []error{nil}, Stable, nil, keeps},
		{Stable, unseen, []error{code(31), errNetwork, kafka.ErrTooOld}, Stable, nil, keeps},
		{Draining, changed, []error{nil}, Draining, nil, keeps},
		{Draining, drained, []error{nil}, Joining, []string{"join"}, keeps},
		{Idle, stop, []error{nil}, Left, []string{"leave"}, keeps},
		{Joining, stop, []error{nil}, Left, []string{"abandon", "leave"}, keeps},
		{Syncing, stop, []error{nil}, Left, []string{"abandon", "leave"}, keeps},
		{Stable, stop, []error{nil}, Draining, []string{"drain"}, keeps},
		{Draining, stop, []error{nil}, Draining, nil, keeps},
	}
	for _, tt := range tests {
		for _, err := range tt.errs {
			t.Run(fmt.Sprintf("%s/%d/%v", tt.state, tt.what, err), func(t *testing.T) {
				m := in(t, tt.state)
				m.failures = 0
				do := m.handle(start, event{kind: tt.what, id: "m", generation: 7, err: err})
				if diff := cmp.Diff(tt.do, names(do)); diff != "" || m.state != tt.then {
					t.Errorf("%s instead of %s, actions %s", m.state, tt.then, diff)
				}
				if who := fmt.Sprintf("%s/%d", m.id, m.generation); who != tt.who {
					t.Errorf("it believes to be %s instead of %s", who, tt.who)
				}
			})
		}
	}
}

// TestStories are what one answer alone does not show.
func TestStories(t *testing.T) {
	t.Parallel()
	type happens struct {
		at   time.Duration
		e    event
		then []string
	}
	beat := func(err error) event { return event{kind: beaten, id: "m", generation: 7, err: err} }
	tests := []struct {
		name    string
		machine func(t *testing.T) *machine
		story   []happens
		end     State
		err     error
	}{
		{"from the first look to work", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: changed}, []string{"join"}},
			{1, event{kind: named, id: "m"}, []string{"join"}},
			{2, event{kind: joined, id: "m", generation: 7}, []string{"sync"}},
			{3, event{kind: synced}, []string{"assign"}},
		}, Stable, nil},
		{"denied before it ever joined", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: unseen, err: errNetwork}, nil},
			{1, event{kind: unseen, err: kafka.CodeErr(58)}, nil},
		}, Dead, kafka.ErrAuth},
		{"the group denied before it ever joined", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: changed}, []string{"join"}},
			{1, event{kind: failed, err: kafka.CodeErr(30)}, nil},
		}, Dead, kafka.ErrAuth},
		{"told to stop before anything", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: stop}, nil},
		}, Left, nil},
		{"told to stop while the coordinator gives it a name", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: changed}, []string{"join"}},
			{1, event{kind: stop}, []string{"wait 2s"}},
			{2, event{kind: changed}, nil},
			{3, event{kind: unseen, err: errNetwork}, nil},
			{4, event{kind: named, id: "m"}, []string{"leave"}},
		}, Left, nil},
		{"told to stop while a coordinator that names nobody lets it in", func(*testing.T) *machine { return newMachine() },
			[]happens{
				{0, event{kind: changed}, []string{"join"}},
				{1, event{kind: stop}, []string{"wait 2s"}},
				{2, event{kind: joined, id: "m", generation: 7}, []string{"leave"}},
			}, Left, nil},
		{"told to stop, and nobody answers", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: changed}, []string{"join"}},
			{1, event{kind: stop}, []string{"wait 2s"}},
			{2 * time.Second, event{kind: woke}, []string{"abandon"}},
		}, Left, nil},
		{"told to stop, and the first join fails", func(*testing.T) *machine { return newMachine() }, []happens{
			{0, event{kind: changed}, []string{"join"}},
			{1, event{kind: stop}, []string{"wait 2s"}},
			{2, event{kind: failed, err: kafka.CodeErr(30)}, nil},
		}, Left, nil},
		{"a static member waits for no name", func(*testing.T) *machine { m := newMachine(); m.static = true; return m },
			[]happens{
				{0, event{kind: changed}, []string{"join"}},
				{1, event{kind: stop}, []string{"abandon"}},
			}, Left, nil},
		{"a static member does not leave", func(t *testing.T) *machine { m := in(t, Stable); m.static = true; return m },
			[]happens{
				{0, event{kind: stop}, []string{"drain"}},
				{1, event{kind: drained}, nil},
			}, Left, nil},
		{"told to stop while it drains", func(t *testing.T) *machine { return in(t, Draining) }, []happens{
			{0, event{kind: stop}, nil},
			{1, event{kind: drained}, []string{"leave"}},
		}, Left, nil},
		{"fenced while it works", func(t *testing.T) *machine { return in(t, Stable) }, []happens{
			{0, beat(codeFencedInstance), []string{"drain"}},
			{1, event{kind: changed}, nil},
			{2, event{kind: drained}, nil},
		}, Dead, codeFencedInstance},
		{"thrown out while it drains: it comes back as a new member", func(t *testing.T) *machine { return in(t, Draining) },
			[]happens{
				{0, beat(codeUnknownMember), nil},
				{time.Second, event{kind: drained}, []string{"join"}},
				{time.Second, event{kind: named, id: "n"}, []string{"join"}},
			}, Joining, nil},
		{"thrown out again and again", func(t *testing.T) *machine { return in(t, Stable) }, []happens{
			{0, beat(codeIllegalGeneration), []string{"drain"}},
			{0, event{kind: drained}, []string{"join"}},
			{1, event{kind: joined, id: "m", generation: 7}, []string{"sync"}},
			{2, event{kind: synced}, []string{"assign"}},
			{3, beat(codeIllegalGeneration), []string{"drain"}},
			{4, event{kind: drained}, []string{"wait 999.999996ms"}},
			{time.Second, event{kind: woke}, []string{"join"}},
		}, Joining, nil},
		{"topics that come and go all the time", func(t *testing.T) *machine { return in(t, Stable) }, []happens{
			{0, event{kind: changed}, []string{"drain"}},
			{100 * time.Millisecond, event{kind: changed}, nil},
			{200 * time.Millisecond, event{kind: drained}, []string{"join"}},
			{300 * time.Millisecond, event{kind: changed}, nil},
			{400 * time.Millisecond, event{kind: joined, id: "m", generation: 8}, []string{"sync"}},
			{500 * time.Millisecond, event{kind: synced}, []string{"assign", "wait 700ms"}},
			{600 * time.Millisecond, event{kind: changed}, []string{"wait 600ms"}},
			{1200 * time.Millisecond, event{kind: woke}, []string{"drain"}},
			{1300 * time.Millisecond, event{kind: drained}, []string{"join"}},
		}, Joining, nil},
		{"a pending join that the coordinator knows nothing of", func(t *testing.T) *machine { return in(t, Joining) },
			[]happens{
				{0, beat(nil), nil},
				{1, beat(codeRebalance), nil}, // it was only early
				{2, beat(codeUnknownMember), nil},
				{3, beat(errNetwork), nil},
				{4, beat(codeUnknownMember), []string{"abandon", "wait 100ms"}},
				{5, event{kind: woke}, []string{"join"}},
				{6, event{kind: named, id: "n"}, []string{"join"}},
			}, Joining, nil},
		{"a pending join whose coordinator was away: the one that answers now may be another", func(t *testing.T) *machine {
			return in(t, Joining)
		}, []happens{
			{0, beat(codeRebalance), nil},
			{1, beat(kafka.CodeErr(16)), nil},
			{2, beat(errNetwork), nil},
			{3, beat(codeRebalance), []string{"abandon", "wait 100ms"}},
			{4, event{kind: woke}, []string{"join"}},
			{5, beat(codeRebalance), nil},
			{6, beat(codeRebalance), nil},
		}, Joining, nil},
		{"a static member that comes back to what it had, and wants other topics", func(t *testing.T) *machine {
			return in(t, Joining)
		}, []happens{
			{0, event{kind: joined, id: "m", generation: 7}, []string{"sync"}},
			{0, event{kind: synced, outdated: true}, []string{"assign", "drain"}},
			{1, event{kind: drained}, []string{"join"}},
			{2, event{kind: joined, id: "m", generation: 8}, []string{"sync"}},
			{3, event{kind: synced}, []string{"assign"}},
		}, Stable, nil},
		{"nobody shares an assignor, for long", func(t *testing.T) *machine { return in(t, Joining) }, []happens{
			{0, event{kind: failed, err: codeInconsistentProtocol}, []string{"wait 100ms"}},
			{29 * time.Second, event{kind: woke}, []string{"join"}},
			{29 * time.Second, event{kind: failed, err: errNetwork}, []string{"wait 200ms"}},
			{30 * time.Second, event{kind: woke}, []string{"join"}},
			{30 * time.Second, event{kind: failed, err: codeInconsistentProtocol}, []string{"leave"}},
		}, Dead, codeInconsistentProtocol},
		{"nobody shares an assignor, for a while", func(t *testing.T) *machine { return in(t, Joining) }, []happens{
			{0, event{kind: failed, err: codeInconsistentProtocol}, []string{"wait 100ms"}},
			{20 * time.Second, event{kind: woke}, []string{"join"}},
			{20 * time.Second, event{kind: joined, id: "m", generation: 8}, []string{"sync"}},
			{20 * time.Second, event{kind: failed, err: codeRebalance}, []string{"wait 200ms"}},
			{40 * time.Second, event{kind: woke}, []string{"join"}},
			{40 * time.Second, event{kind: failed, err: codeInconsistentProtocol}, []string{"wait 300ms"}},
		}, Idle, nil},
		{"answers of another life", func(t *testing.T) *machine { return in(t, Stable) }, []happens{
			{0, event{kind: beaten, id: "m", generation: 6, err: codeUnknownMember}, nil},
			{1, event{kind: beaten, id: "l", generation: 7, err: codeUnknownMember}, nil},
			{2, event{kind: refused, id: "m", generation: 6, err: codeIllegalGeneration}, nil},
		}, Stable, nil},
		{"nothing after the end", func(t *testing.T) *machine { return in(t, Idle) }, []happens{
			{0, event{kind: stop}, []string{"leave"}},
			{1, event{kind: woke}, nil},
			{2, event{kind: changed}, nil},
			{3, event{kind: stop}, nil},
			{4, event{kind: joined, id: "m", generation: 9}, nil},
		}, Left, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.machine(t)
			m.failures = 0
			for i, h := range tt.story {
				got := names(m.handle(start.Add(h.at), h.e))
				if diff := cmp.Diff(h.then, got); diff != "" {
					t.Fatalf("event %d: %s", i, diff)
				}
			}
			if m.state != tt.end || !errors.Is(m.err, tt.err) {
				t.Errorf("it ends %s with %v, not %s with %v", m.state, m.err, tt.end, tt.err)
			}
		})
	}
}
