package group

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group/assign"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

const (
	// handover is what a drain leaves of the rebalance timeout, for the last commit and the way to the coordinator.
	handover = 2 * time.Second
	// freshView is how long a leader waits for metadata before it assigns by what it has: the group waits for it.
	freshView = time.Second
	// worthTelling is the failure in a row that is told as a warning: a few are everyday life in a group.
	worthTelling = 4
	// protocolEvery is how often an inconsistent protocol is told.
	protocolEvery = time.Minute
)

// loop is what Run alone uses.
type loop struct {
	machine machine
	timer   *time.Timer
	step    *step // what is under way; nil = nothing

	topics map[string]int                 // wanted and there
	seen   uint64                         // topics, by their hash, of the last join
	join   *wire.JoinAnswer               // of this generation
	given  map[kafka.TopicPartition]Start // of this generation
	owned  assign.UserData                // of the last generation that gave partitions
	gone   string                         // who has to leave the group at the end; "" = nobody
	why    string                         // the next generation has become necessary
	silent bool                           // heartbeats fail
	blind  bool                           // the cluster cannot be looked at

	toldProtocol time.Time // when it was last told that the group's protocol is inconsistent
}

// step is a request, or a drain, that is under way.
type step struct {
	cancel context.CancelFunc
	done   chan news
}

// live carries out what the machine wants, until that is over. The helpers and the steps work under work; stop alone is
// what ends.
func (m *Member) live(stopping, work context.Context) {
	l := &m.loop
	l.timer = time.NewTimer(0)
	defer l.timer.Stop()
	l.timer.Stop()
	l.owned.Generation, l.why = unjoined, "the member has started"
	end := stopping.Done()
	for !l.machine.over() {
		var stepped chan news
		if l.step != nil {
			stepped = l.step.done
		}
		var n news
		select {
		case <-end:
			end = nil
			n.what = stop
		case n = <-m.events:
		case n = <-stepped:
			l.step.cancel()
			l.step = nil
		case <-l.timer.C:
			n.what = woke
		}
		m.take(n)
		before := l.machine.state
		actions := l.machine.on(time.Now(), n.event)
		if before == Stable && l.machine.state == Draining {
			l.why = reason(n.event)
			m.countEnd(n.event)
		}
		for _, a := range actions {
			m.do(work, a)
		}
		m.tell()
	}
}

// reason says why an event ends a generation.
func reason(e event) string {
	switch {
	case e.err == nil:
		return "topics have changed"
	case faultOf(e.err) == rebalancing:
		return "the group rebalances"
	default:
		return e.err.Error()
	}
}

// countEnd counts the end of a generation by the event that ended it.
func (m *Member) countEnd(e event) {
	lost := e.what == beaten || e.what == refused
	if f := faultOf(e.err); lost && f != none && f != rebalancing {
		m.note(func(s *Status) { s.Lost++ })
		return
	}
	m.note(func(s *Status) { s.Revoked++ })
}

// take keeps what news brings, and logs it.
func (m *Member) take(n news) {
	l := &m.loop
	switch n.what {
	case changed:
		l.topics = n.topics
		m.note(func(s *Status) { s.Topics = maps.Clone(n.topics) })
		m.logger.Debug("group: topics have changed", "topics", len(n.topics))
	case joined:
		l.join = n.join
	case synced:
		l.given = n.given
		m.resolver.lead(n.others)
	case unseen:
		m.look(n.err)
	case failed:
		err := advise(n.err, m.settings)
		m.failed(err)
		m.logger.Log(context.Background(), l.failureLevel(n.err), "group: joining has failed", "error", err,
			"attempts", l.machine.failures+1)
	case beaten:
		m.listen(n.err)
	case refused:
		m.logger.Debug("group: a commit was refused: the generation is over", "error", n.err)
	}
}

// failureLevel returns how loudly a failed join is told. Members that share no assignor with this one may be on their
// way out, and are told of once a minute.
func (l *loop) failureLevel(err error) slog.Level {
	switch f := faultOf(err); {
	case f == incompatibleProtocol && time.Since(l.toldProtocol) < protocolEvery:
		return slog.LevelDebug
	case f == incompatibleProtocol:
		l.toldProtocol = time.Now()
		return slog.LevelWarn
	case f >= fenced, l.machine.failures+1 == worthTelling:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// look logs when the cluster can no longer be looked at, and when it can again.
func (m *Member) look(err error) {
	l := &m.loop
	switch {
	case err == nil:
		m.logger.Info("group: the cluster can be looked at again")
	case !l.blind:
		m.logger.Warn("group: the cluster cannot be looked at; topics that come and go are not noticed meanwhile",
			"error", err)
	}
	if l.blind = err != nil; l.blind {
		m.failed(err)
	}
}

// listen logs when heartbeats begin to fail, and when they work again.
func (m *Member) listen(err error) {
	l := &m.loop
	switch f := faultOf(err); f {
	case none, rebalancing:
		m.note(func(s *Status) { s.LastHeartbeat = time.Now() })
		if l.silent {
			m.logger.Info("group: heartbeats are answered again")
		}
		l.silent = false
	case passing, denied:
		m.failed(err)
		if !l.silent {
			m.logger.Warn("group: heartbeats fail; the group gives the partitions to others when session_timeout_ms is over",
				"error", err)
		}
		l.silent = true
	default:
		m.failed(err)
		m.logger.Debug("group: the heartbeat was refused: the generation is over", "error", err)
	}
}

// do carries out one action.
func (m *Member) do(work context.Context, a action) {
	l := &m.loop
	switch a.do {
	case doJoin:
		m.committer.end()
		id, metadata := l.machine.id, m.subscription()
		m.begin(work, func(ctx context.Context) news { return m.join(ctx, id, metadata) })
	case doSync:
		who, join, seen, topics := identity{l.machine.id, l.machine.generation}, l.join, l.seen, l.topics
		m.begin(work, func(ctx context.Context) news { return m.sync(ctx, who, join, seen, topics) })
	case doAssign:
		m.assign(work)
	case doDrain:
		m.begin(work, m.drain)
	case doAbandon:
		m.abandon()
	case doWait:
		l.timer.Reset(a.pause)
	case doLeave:
		l.gone = l.machine.id
	}
}

// begin starts a step. Its news is taken by live, or dropped by abandon.
func (m *Member) begin(work context.Context, run func(context.Context) news) {
	ctx, cancel := context.WithCancel(work)
	s := &step{cancel: cancel, done: make(chan news, 1)}
	m.loop.step = s
	go func() { s.done <- run(ctx) }()
}

// abandon ends the step that is under way, and waits for that. Requests end at once with their context.
func (m *Member) abandon() {
	if s := m.loop.step; s != nil {
		s.cancel()
		<-s.done
		m.loop.step = nil
	}
}

// tell makes visible what the machine has become.
func (m *Member) tell() {
	l := &m.loop
	who := identity{}
	if l.machine.alive() {
		who = identity{l.machine.id, l.machine.generation}
	}
	m.heartbeater.setIdentity(who)
	m.note(func(s *Status) {
		s.State, s.MemberID = l.machine.state, l.machine.id
		if l.machine.generation != unjoined {
			s.Generation = l.machine.generation
		}
		if s.State != Stable && s.State != Draining {
			s.Assigned, s.Leader, s.Protocol = nil, false, ""
		}
	})
}

// subscription is what the member tells the leader when it joins.
func (m *Member) subscription() []byte {
	data := m.loop.owned
	m.loop.seen = assign.HashTopics(m.loop.topics)
	data.Topics = m.loop.seen
	return assign.Subscription{Topics: slices.Collect(maps.Keys(m.loop.topics)), UserData: data.Encode()}.Encode()
}

// join is a step.
func (m *Member) join(ctx context.Context, id string, metadata []byte) news {
	answer, err := m.coordinator.join(ctx, id, metadata)
	switch {
	case err != nil:
		return news{event: event{what: failed, err: err}}
	case answer.Code != 0:
		return news{event: event{what: named, id: answer.MemberID}}
	}
	return news{event: event{what: joined, id: answer.MemberID, generation: answer.Generation}, join: answer}
}

// sync is a step: it deals out partitions if the member leads, gets the member's own, and looks up where they begin.
func (m *Member) sync(
	ctx context.Context, who identity, join *wire.JoinAnswer, seen uint64, topics map[string]int,
) news {
	fail := func(err error) news { return news{event: event{what: failed, err: err}} }
	var d deal
	if join.Leader == join.MemberID {
		var err error
		if d, err = m.deal(ctx, join, topics); err != nil {
			return fail(fmt.Errorf("assigning partitions to the group's members: %w", err))
		}
	}
	parts, dealt, err := m.coordinator.sync(ctx, who, join.Protocol, d.assignments)
	if err != nil {
		return fail(err)
	}
	offsets, err := m.coordinator.offsets(ctx, parts)
	if err != nil {
		return fail(err)
	}
	given := make(map[kafka.TopicPartition]Start, len(parts))
	for _, p := range parts {
		given[p] = Start{Committed: offsets[p], Late: m.resolver.late(p)}
	}
	return news{event: event{what: synced, outdated: dealt != 0 && dealt != seen}, given: given, others: d.others}
}

// deal is what a leader has decided.
type deal struct {
	assignments map[string][]byte // by member
	others      map[string]int    // topics that only others want, with their partition counts
}

// deal assigns every partition of the topics that members subscribe to. A topic that is not there is left out, alone; a
// member that cannot be read gets nothing, alone. seen are the topics that this member wants and has seen.
func (m *Member) deal(ctx context.Context, join *wire.JoinAnswer, seen map[string]int) (deal, error) {
	assignor := assign.Find(join.Protocol)
	if assignor == nil {
		return deal{}, fmt.Errorf("the group has agreed on the assignor %q, which this member never offered", join.Protocol)
	}
	d := deal{assignments: make(map[string][]byte), others: make(map[string]int)}
	topics := make(map[string]int)
	members := make([]assign.Member, 0, len(join.Members))
	for _, member := range join.Members {
		known, err := assign.ParseMember(member.MemberID, member.InstanceID, member.Metadata)
		if err != nil {
			m.logger.Warn("group: a member gets no partitions, as what it sent cannot be read", "error", err)
		}
		members = append(members, known)
		for _, topic := range known.Topics {
			topics[topic] = 0
		}
	}
	hash := assign.HashTopics(seen)
	if slices.ContainsFunc(members, func(member assign.Member) bool { return member.Seen != hash }) {
		cluster, err := m.view(ctx, slices.Collect(maps.Keys(topics)))
		if err != nil {
			return deal{}, err
		}
		for topic := range topics {
			topics[topic] = m.resolver.count(cluster, topic)
			if !m.config.Match(topic) {
				d.others[topic] = topics[topic]
			}
		}
	} else { // all members want and have seen the same: nobody waits for another look
		topics = seen
	}
	assigned := assignor.Assign(topics, members)
	for _, member := range members {
		d.assignments[member.ID] = assign.EncodeAssignment(assigned[member.ID], member.Seen)
	}
	return d, nil
}

// view returns what the cluster says of topics now: a follower may have joined for what it saw, and the leader's view
// has to be the same. Without an answer there is still what the resolver has seen.
func (m *Member) view(ctx context.Context, topics []string) (*kafka.Cluster, error) {
	limited, cancel := context.WithTimeout(ctx, freshView)
	defer cancel()
	cluster, err := m.client.Topics(limited, topics...)
	if err == nil {
		return cluster, nil
	}
	if seen, _, _ := m.resolver.watch.Cluster(); seen != nil {
		return seen, nil
	}
	return nil, err
}

// assign begins a generation's work.
func (m *Member) assign(work context.Context) {
	l := &m.loop
	m.heartbeater.beginAnew()
	a := Assignment{Generation: l.machine.generation, Partitions: l.given}
	parts := sortedPartitions(a.Partitions)
	found := make(map[kafka.TopicPartition]int64, len(parts))
	l.owned = assign.UserData{Generation: a.Generation}
	for _, p := range parts {
		found[p] = a.Partitions[p].Committed
		l.owned.Owned = append(l.owned.Owned, assign.TopicPartition(p))
	}
	leads := l.join.Leader == l.join.MemberID
	m.note(func(s *Status) {
		s.Assigned, s.Protocol, s.Leader = parts, l.join.Protocol, leads
		s.LastRebalance = time.Now()
		s.Rebalances++
	})
	m.logger.Info("group: a generation begins", "generation", a.Generation, "partitions", len(parts), "protocol",
		l.join.Protocol, "leader", leads, "because", l.why)
	m.committer.begin(work, identity{l.machine.id, l.machine.generation}, found, func() { m.config.Consumer.Assign(a) })
}

// drain is a step: the Consumer finishes, within what the group waits for a member, and what it finished is committed.
func (m *Member) drain(ctx context.Context) news {
	limit := min(m.config.Drain, drainLimit(m.settings))
	limited, cancel := context.WithTimeout(ctx, limit)
	m.config.Consumer.Drain(limited)
	if limited.Err() != nil {
		m.logger.Warn("group: handlers had not ended in time and were cancelled; their records will be handled again",
			"limit", limit)
	}
	cancel()
	if m.config.Commit > 0 {
		limited, cancel = context.WithTimeout(ctx, min(handover, m.settings.RebalanceTimeout/4))
		defer cancel()
		if err := m.committer.last(limited); err != nil {
			m.logger.Warn("group: the last commit of the generation has failed; what was finished since the one before will "+
				"be handled again", "error", err)
		}
	}
	return news{event: event{what: drained}}
}

// drainLimit is how long a drain may take for the member to be back in time. It may have heard of the rebalance a
// heartbeat late.
func drainLimit(s kafka.Settings) time.Duration {
	return max(s.RebalanceTimeout-s.HeartbeatInterval-handover, s.RebalanceTimeout/2)
}

// leave takes the member out of the group, if it has to.
func (m *Member) leave(ctx context.Context) {
	if m.loop.gone == "" {
		return
	}
	if err := m.coordinator.leave(ctx, m.loop.gone); err != nil {
		m.logger.Warn("group: leaving has failed; the group notices when session_timeout_ms is over", "error", err)
	}
}
