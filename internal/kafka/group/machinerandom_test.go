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
			underWay   = actionKind(-1) // join, sync or drain
			working    bool             // between assign and drained
			term       identity         // in which the Consumer works
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
				switch a.kind {
				case doJoin:
					check(underWay < 0, "it joins with %s under way", action{kind: underWay})
					check(!working, "it joins while the Consumer works")
					check(!ownWish || now.Sub(lastJoin) >= minJoinInterval, "it joins of its own wish %s after its last join",
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
					underWay, ownWish = doDrain, e.kind == changed || e.kind == woke || e.kind == synced
				case doCancel:
					check(underWay == doJoin || underWay == doSync, "it abandons %d", underWay)
					underWay = -1
				case doWait:
					check(a.pause > 0, "it waits for %s", a.pause)
					waiting = true
				case doLeave:
					check(!m.static, "a static member leaves")
				}
			}
			if m.ended() {
				check(underWay < 0 && !working, "it ends with work under way")
				ended = true
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			var possible []event
			possible = append(possible, event{kind: changed},
				event{kind: unseen, err: rapid.SampledFrom(codes).Draw(t, "unseen")})
			err := rapid.SampledFrom(codes).Draw(t, "err")
			for _, who := range []identity{{m.id, m.generation}, term} {
				if who.id != "" {
					possible = append(possible, event{kind: beaten, id: who.id, generation: who.generation, err: err})
				}
			}
			if working && faultOf(err).endsGeneration() {
				possible = append(possible, event{kind: refused, id: term.id, generation: term.generation, err: err})
			}
			if waiting {
				possible = append(possible, event{kind: woke})
			}
			switch {
			case underWay == doDrain:
				possible = append(possible, event{kind: drained})
			case underWay >= 0 && err != nil:
				possible = append(possible, event{kind: failed, err: err})
			case underWay == doJoin:
				possible = append(possible, event{kind: joined, id: "m", generation: generation + 1}, event{kind: named, id: "m"})
			case underWay == doSync:
				possible = append(possible, event{kind: synced, outdated: rapid.Bool().Draw(t, "outdated")})
			}
			if rapid.IntRange(0, 30).Draw(t, "stop") == 0 {
				possible = []event{{kind: stop}}
			}
			e := rapid.SampledFrom(possible).Draw(t, "event")
			switch e.kind {
			case drained:
				underWay, working = -1, false
			case joined:
				underWay, generation = -1, e.generation
			case named, synced, failed:
				underWay = -1
			case woke:
				waiting = false
			}
			do(m.handle(now, e), e)
			check(ended == m.ended(), "over and ended differ")
		}
	})
}
