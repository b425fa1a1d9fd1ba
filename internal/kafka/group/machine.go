package group

import "time"

const (
	// unjoined stands for the generation of a member that is in none.
	unjoined int32 = -1
	// minJoinInterval is the least time between a join and one of the member's own wish after it: topics can come and
	// go faster than a group can rebalance.
	minJoinInterval = time.Second
	// deniedBackoff is the pause after an error that an operator has to repair: an ACL, a password, a limit.
	deniedBackoff = 5 * time.Second
	// protocolDeadline is how long a member tries to get into a group whose members share no assignor with it. They
	// may be on their way out: this is what a deployment looks like that changes assignors.
	protocolDeadline = 30 * time.Second
	// contradictionsNeeded is how many heartbeats in a row must contradict a pending join before it is believed to be
	// lost. One may have been answered before the join arrived.
	contradictionsNeeded = 2
)

// eventKind is the kind of an event.
type eventKind int

const (
	changed eventKind = iota // the cluster has been seen for the first time, or has other topics or partitions than it had
	unseen                   // the cluster's metadata cannot be read
	named                    // Join: the coordinator has given the member its id, with which it has to join again
	joined                   // Join: the member is in the generation
	synced                   // Sync: partitions, and where they begin
	drained                  // no handler runs, and what could be committed is
	failed                   // the join or the sync that was under way has failed
	beaten                   // a heartbeat has been answered, or not
	refused                  // a commit has been refused for what the member is
	woke                     // the pause is over
	stop                     // the program ends
)

// event is an input of the machine. Beaten and refused carry the member that they are for: an answer may be late.
type event struct {
	kind       eventKind
	id         string    // of named, joined, beaten, refused
	generation int32     // of joined, beaten, refused
	outdated   bool      // of synced: the assignment is for other topics, as it was made before a static member came back
	sent       time.Time // of beaten
	err        error     // of unseen, failed, beaten, refused; nil is a success
}

// actionKind is the kind of an action.
type actionKind int

const (
	doJoin   actionKind = iota // under way until named, joined or failed
	doSync                     // under way until synced or failed
	doAssign                   // at once
	doDrain                    // under way until drained
	doCancel                   // at once: the operation that is under way is cancelled
	doWait                     // until woke; a new one replaces the last
	doLeave                    // the last action
)

// action is an output of the machine, which the loop carries out.
type action struct {
	kind  actionKind
	pause time.Duration // of doWait
}

// machine decides what a member does. It does no I/O and has no clock: events go into on, actions come out. At most one
// join, sync or drain is under way at a time.
//
//	         changed, woke        joined            synced            27, changed, stop, 22, 25, 82
//	Idle ───────────────▶ Joining ───────▶ Syncing ───────▶ Stable ─────────────────────────▶ Draining
//	 ▲                      ▲ │               │                                                  │
//	 └──── failed: pause ───┼─┴───────────────┘◀── 27, 22, 25                                    │
//	                        └──────────────────────────── drained ────────────────────────────────┤
//	stop, from Idle, Joining, Syncing ──▶ Left ◀── drained, when it was told to stop ─────────────┤
//	an error without a remedy ──────▶ Dead ◀── drained, when it was fenced ───────────────────┘
type machine struct {
	// it has an instance id: it does not leave, so that it finds its partitions again
	static  bool
	backoff func(attempt int) time.Duration // pause after a failed attempt, counted from 0

	state             State
	id                string // "" = none
	generation        int32  // unjoined = none that the group would know
	wasStable         bool   // it has been Stable
	changed           bool   // since its last join was sent
	lost              bool   // its generation went on without it, and is drained for that
	stopping          bool   // told to stop while Draining, or Joining without a name
	failures          int    // attempts in a row that did not get it into a generation
	contradictions    int    // heartbeats in a row that contradict the pending join
	coordinatorAway   bool   // the coordinator was, since the pending join was sent
	lastJoin          time.Time
	incompatibleSince time.Time // since when the group has refused its assignors; zero = it does not
	err               error     // why it is dead, or will be when it is drained
}

// ended reports whether nothing more will happen.
func (m *machine) ended() bool { return m.state == Left || m.state == Dead }

// alive reports whether there is a membership to keep up by heartbeats.
func (m *machine) alive() bool { return m.id != "" && m.generation != unjoined && !m.ended() }

// handle takes what has happened and returns what is to be done, in order.
func (m *machine) handle(now time.Time, e event) []action {
	if m.ended() {
		return nil
	}
	switch e.kind {
	case stop:
		return m.stop()
	case changed:
		m.changed = true
		if m.lastJoin.IsZero() {
			return m.join(now) // all that a member waits for in the beginning
		}
		return m.rejoinForTopics(now)
	case beaten, refused:
		if e.id != m.id || e.generation != m.generation {
			return nil // of another life
		}
		return m.handleAnswer(e)
	}

	switch m.state {
	case Idle:
		switch e.kind {
		case woke:
			return m.join(now)
		case unseen:
			if f := faultOf(e.err); !m.wasStable && (f == denied || f == fatal) {
				return m.die(e.err)
			}
		}
	case Joining:
		if m.stopping {
			return m.stopUnnamed(e)
		}
		switch e.kind {
		case joined:
			m.state, m.id, m.generation, m.incompatibleSince = Syncing, e.id, e.generation, time.Time{}
			return []action{{kind: doSync}}
		case named:
			had := m.id != ""
			m.id = e.id
			if had {
				return m.retry() // at once, this could go on for ever
			}
			return m.join(now)
		case failed:
			return m.handleFailedJoin(now, e.err)
		}
	case Syncing:
		switch e.kind {
		case synced:
			m.state, m.wasStable, m.failures = Stable, true, 0
			m.changed = m.changed || e.outdated
			return append([]action{{kind: doAssign}}, m.rejoinForTopics(now)...)
		case failed:
			return m.handleFailedJoin(now, e.err)
		}
	case Stable:
		if e.kind == woke {
			return m.rejoinForTopics(now)
		}
	case Draining:
		if e.kind == drained {
			switch {
			case m.err != nil:
				return m.die(m.err)
			case m.stopping:
				return m.leave(Left)
			}
			if wait := m.untilNextJoin(now); m.lost && wait > 0 {
				return m.pause(wait) // a group that throws it out again and again is not joined without end
			}
			return m.join(now)
		}
	}
	return nil
}

// handleAnswer is what a heartbeat or a commit tells about the membership.
func (m *machine) handleAnswer(e event) []action {
	f := faultOf(e.err)
	switch f {
	case none, transient, denied, groupFull, incompatibleProtocol:
		if m.state == Joining && (f == none || f == transient) && e.kind == beaten {
			return m.checkPendingJoin(f)
		}
		return nil // the same generation goes on working
	case fenced:
		m.err = e.err
	}
	switch m.state {
	case Joining:
		switch {
		case m.err != nil:
			return m.cancelThen(m.die(m.err))
		case e.kind == beaten:
			return m.checkPendingJoin(f)
		}
	case Syncing:
		if m.err != nil {
			return m.cancelThen(m.die(m.err))
		}
		m.forgetIdentity(f)
		return m.cancelThen(m.retry())
	case Stable:
		m.forgetIdentity(f)
		m.lost = e.kind == refused || f != rebalancing
		return m.drain()
	case Idle:
		if m.err != nil {
			return m.die(m.err)
		}
		m.forgetIdentity(f)
	default:
		m.forgetIdentity(f)
	}
	return nil
}

// checkPendingJoin weighs the answer to a heartbeat against the join that is pending. While a coordinator holds a
// join it answers with 27; one that says anything else again and again has not got it, or its answer has been lost,
// and would be waited for until the rebalance timeout is over. One that was away may be another now, which with its
// 27 says that it waits for this very join; to the one that has it another does no harm.
func (m *machine) checkPendingJoin(f fault) []action {
	switch {
	case f == transient:
		m.coordinatorAway = true
		return nil
	case f == rebalancing && !m.coordinatorAway:
		m.contradictions = 0
		return nil
	}
	if m.contradictions++; m.contradictions < contradictionsNeeded && !m.coordinatorAway {
		return nil
	}
	m.forgetIdentity(f)
	return m.cancelThen(m.retry())
}

// forgetIdentity gives up what the coordinator does not know any longer.
func (m *machine) forgetIdentity(f fault) {
	switch f {
	case unknown:
		m.id, m.generation = "", unjoined
	case stale, fatal:
		m.generation = unjoined
	}
}

// rejoinForTopics joins again when topics have changed, but not sooner than spacing allows.
func (m *machine) rejoinForTopics(now time.Time) []action {
	if m.state != Stable || !m.changed {
		return nil // the next join takes what there is then
	}
	if wait := m.untilNextJoin(now); wait > 0 {
		return []action{{kind: doWait, pause: wait}}
	}
	return m.drain()
}

// untilNextJoin is how long it is until the member may join of its own wish.
func (m *machine) untilNextJoin(now time.Time) time.Duration {
	return m.lastJoin.Add(minJoinInterval).Sub(now)
}

// handleFailedJoin decides what becomes of a join or a sync that has failed.
func (m *machine) handleFailedJoin(now time.Time, err error) []action {
	f := faultOf(err)
	m.forgetIdentity(f)
	switch f {
	case fenced, fatal:
		return m.die(err)
	case incompatibleProtocol:
		if m.incompatibleSince.IsZero() {
			m.incompatibleSince = now
		}
		if now.Sub(m.incompatibleSince) >= protocolDeadline {
			return m.die(err)
		}
	case denied:
		if !m.wasStable {
			return m.die(err)
		}
		return m.pause(deniedBackoff)
	case groupFull:
		return m.pause(deniedBackoff)
	}
	return m.retry()
}

// retry joins again when a pause is over.
func (m *machine) retry() []action {
	m.failures++
	return m.pause(m.backoff(m.failures - 1))
}

func (m *machine) join(now time.Time) []action {
	m.state, m.changed, m.lost, m.contradictions, m.coordinatorAway, m.lastJoin = Joining, false, false, 0, false, now
	return []action{{kind: doJoin}}
}

func (m *machine) pause(d time.Duration) []action {
	m.state = Idle
	return []action{{kind: doWait, pause: d}}
}

// cancelThen does something else than what is under way.
func (m *machine) cancelThen(then []action) []action {
	return append([]action{{kind: doCancel}}, then...)
}

func (m *machine) drain() []action {
	m.state = Draining
	return []action{{kind: doDrain}}
}

func (m *machine) stop() []action {
	switch m.state {
	case Stable:
		m.stopping = true
		return m.drain()
	case Draining:
		m.stopping = true
		return nil
	case Joining, Syncing:
		if m.id == "" && !m.static {
			m.stopping = true
			return []action{{kind: doWait, pause: leaveTimeout}}
		}
		return m.cancelThen(m.leave(Left))
	default:
		return m.leave(Left)
	}
}

// stopUnnamed ends a member that was told to stop while its first join was under way. It waits for the answer, which
// comes at once: the coordinator holds a place for whom it has given a name, and every rebalance waits for that
// member until its session is over, unless it leaves.
func (m *machine) stopUnnamed(e event) []action {
	switch e.kind {
	case named, joined:
		m.id = e.id
		return m.leave(Left)
	case failed:
		return m.leave(Left)
	case woke:
		return m.cancelThen(m.leave(Left))
	}
	return nil
}

func (m *machine) die(err error) []action {
	m.err = err
	if faultOf(err) == fenced {
		m.id = "" // it is the other's now
	}
	return m.leave(Dead)
}

// leave is the end. A static member keeps its place: the group waits a session timeout for it to come back.
func (m *machine) leave(s State) []action {
	m.state = s
	if m.id == "" || m.static {
		return nil
	}
	return []action{{kind: doLeave}}
}
