package group

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// TestNoSequenceOfEventsBreaksTheMachine plays a coordinator that answers anything at any time, and checks what holds
// always.
func TestNoSequenceOfEventsBreaksTheMachine(t *testing.T) {
	t.Parallel()
	codes := []error{
		nil, errNetwork, kafka.CodeErr(14), kafka.CodeErr(16), codeIllegalGeneration, codeInconsistentProtocol,
		codeUnknownMember,
		codeRebalance, codeMemberIDRequired, codeGroupFull, codeFencedInstance, kafka.CodeErr(30), kafka.CodeErr(35),
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		m.static = rapid.Bool().Draw(t, "static")
		now := start
		var (
			underWay   = deed(-1) // join, sync or drain
			working    bool       // between assign and drained
			term       identity   // in which the Consumer works
			waiting    bool
			ended      bool
			ownWish    bool // the drain that is under way is of its own wish
			lastJoin   time.Time
			generation int32
		)
		check := func(ok bool, format string, args ...any) {
			if !ok {
				t.Fatalf(format, args...)
			}
		}
		do := func(actions []action, e event) {
			for _, a := range actions {
				check(!ended, "it does %s after the end", a)
				switch a.do {
				case doJoin:
					check(underWay < 0, "it joins with %s under way", action{do: underWay})
					check(!working, "it joins while the Consumer works")
					check(!ownWish || now.Sub(lastJoin) >= spacing, "it joins of its own wish %s after its last join",
						now.Sub(lastJoin))
					underWay, lastJoin, ownWish, waiting = doJoin, now, false, false
				case doSync:
					check(underWay < 0 && !working, "it syncs while it works, or with another request")
					underWay = doSync
				case doAssign:
					check(underWay < 0 && !working, "it assigns what has not been drained")
					check(m.generation == generation, "it assigns generation %d in %d", generation, m.generation)
					working, term = true, identity{m.id, m.generation}
				case doDrain:
					check(underWay < 0 && working, "it drains what does not work")
					check(term.generation == generation, "it drains and commits generation %d in %d", term.generation, generation)
					underWay, ownWish = doDrain, e.what == changed || e.what == woke || e.what == synced
				case doAbandon:
					check(underWay == doJoin || underWay == doSync, "it abandons %d", underWay)
					underWay = -1
				case doWait:
					check(a.pause > 0, "it waits for %s", a.pause)
					waiting = true
				case doLeave:
					check(!m.static, "a static member leaves")
				}
			}
			if m.over() {
				check(underWay < 0 && !working, "it ends with work under way")
				ended = true
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			var possible []event
			possible = append(possible, event{what: changed},
				event{what: unseen, err: rapid.SampledFrom(codes).Draw(t, "unseen")})
			err := rapid.SampledFrom(codes).Draw(t, "err")
			for _, who := range []identity{{m.id, m.generation}, term} {
				if who.id != "" {
					possible = append(possible, event{what: beaten, id: who.id, generation: who.generation, err: err})
				}
			}
			if working && faultOf(err).endsTerm() {
				possible = append(possible, event{what: refused, id: term.id, generation: term.generation, err: err})
			}
			if waiting {
				possible = append(possible, event{what: woke})
			}
			switch {
			case underWay == doDrain:
				possible = append(possible, event{what: drained})
			case underWay >= 0 && err != nil:
				possible = append(possible, event{what: failed, err: err})
			case underWay == doJoin:
				possible = append(possible, event{what: joined, id: "m", generation: generation + 1}, event{what: named, id: "m"})
			case underWay == doSync:
				possible = append(possible, event{what: synced, outdated: rapid.Bool().Draw(t, "outdated")})
			}
			if rapid.IntRange(0, 30).Draw(t, "stop") == 0 {
				possible = []event{{what: stop}}
			}
			e := rapid.SampledFrom(possible).Draw(t, "event")
			switch e.what {
			case drained:
				underWay, working = -1, false
			case joined:
				underWay, generation = -1, e.generation
			case named, synced, failed:
				underWay = -1
			case woke:
				waiting = false
			}
			do(m.on(now, e), e)
			check(ended == m.over(), "over and ended differ")
		}
	})
}
