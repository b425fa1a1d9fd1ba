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
	// commitReserve is what a drain leaves of the rebalance timeout, for the last commit and the way to the coordinator.
	commitReserve = 2 * time.Second
	// metadataTimeout is how long a leader waits for metadata before it assigns by what it has: the group waits for it.
	metadataTimeout = time.Second
	// warnAfterFailures is how many failures in a row are logged as a warning: a few are usual in a group.
	warnAfterFailures = 4
	// protocolLogInterval is how often an inconsistent protocol is logged.
	protocolLogInterval = time.Minute
)

// loop is what Run alone uses.
type loop struct {
	machine   machine
	timer     *time.Timer
	operation *operation // that is under way; nil = none

	topics         map[string]int                 // that the subscription matches and that exist
	seen           uint64                         // topics, by their hash, of the last join
	join           *wire.JoinAnswer               // of this generation
	assigned       map[kafka.TopicPartition]Start // of this generation
	owned          assign.UserData                // of the last generation that gave partitions
	leavingID      string                         // the member id that leaves the group at the end; "" = none
	reason         string                         // why the next generation has become necessary
	heartbeatsFail bool                           // heartbeats fail
	metadataFails  bool                           // the cluster cannot be looked at

	protocolLoggedAt time.Time // when an inconsistent protocol was logged last
}

// operation is a request, or a drain, that is under way.
type operation struct {
	cancel context.CancelFunc
	done   chan eventData
}

// runLoop carries out the machine's actions until the machine has ended. The helpers and the operations have the
// context work; the end of stopping is the event stop.
func (m *Member) runLoop(stopping, work context.Context) {
	l := &m.loop
	l.timer = time.NewTimer(0)
	defer l.timer.Stop()
	l.timer.Stop()
	l.owned.Generation, l.reason = unjoined, "the member has started"
	end := stopping.Done()
	for !l.machine.ended() {
		var operationDone chan eventData
		if l.operation != nil {
			operationDone = l.operation.done
		}
		var data eventData
		select {
		case <-end:
			end = nil
			data.kind = stop
		case data = <-m.events:
		case data = <-operationDone:
			l.operation.cancel()
			l.operation = nil
		case <-l.timer.C:
			data.kind = woke
		}
		m.recordEvent(data)
		before := l.machine.state
		actions := l.machine.handle(time.Now(), data.event)
		if before == Stable && l.machine.state == Draining {
			l.reason = reasonOf(data.event)
			m.countEnd(data.event)
		}
		for _, a := range actions {
			m.carryOut(work, a)
		}
		m.publishState()
	}
}

// reasonOf says why an event ends a generation.
func reasonOf(e event) string {
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
	lost := e.kind == beaten || e.kind == refused
	if f := faultOf(e.err); lost && f != none && f != rebalancing {
		m.updateStatus(func(s *Status) { s.Lost++ })
		return
	}
	m.updateStatus(func(s *Status) { s.Revoked++ })
}

// recordEvent keeps what an event brings, and logs it.
func (m *Member) recordEvent(data eventData) {
	l := &m.loop
	switch data.kind {
	case changed:
		l.topics = data.topics
		m.updateStatus(func(s *Status) { s.Topics = maps.Clone(data.topics) })
		m.logger.Debug("group: topics have changed", "topics", len(data.topics))
	case joined:
		l.join = data.join
	case synced:
		l.assigned = data.given
		m.resolver.watchOthers(data.others)
	case unseen:
		m.logMetadata(data.err)
	case failed:
		err := advise(data.err, m.settings)
		m.recordError(err)
		m.logger.Log(context.Background(), l.failureLevel(data.err), "group: joining has failed", "error", err,
			"attempts", l.machine.failures+1)
	case beaten:
		m.logHeartbeat(data.event)
	case refused:
		m.logger.Debug("group: a commit was refused: the generation is over", "error", data.err)
	}
}

// failureLevel returns the level at which a failed join is logged. Members that share no assignor with this one may
// be on their way out, and are logged once a minute.
func (l *loop) failureLevel(err error) slog.Level {
	switch f := faultOf(err); {
	case f == incompatibleProtocol && time.Since(l.protocolLoggedAt) < protocolLogInterval:
		return slog.LevelDebug
	case f == incompatibleProtocol:
		l.protocolLoggedAt = time.Now()
		return slog.LevelWarn
	case f >= fenced, l.machine.failures+1 == warnAfterFailures:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// logMetadata logs when the cluster can no longer be looked at, and when it can again.
func (m *Member) logMetadata(err error) {
	l := &m.loop
	switch {
	case err == nil:
		m.logger.Info("group: the cluster can be looked at again")
	case !l.metadataFails:
		m.logger.Warn("group: the cluster cannot be looked at; topics that come and go are not noticed meanwhile",
			"error", err)
	}
	if l.metadataFails = err != nil; l.metadataFails {
		m.recordError(err)
	}
}

// logHeartbeat logs when heartbeats begin to fail, and when they work again.
func (m *Member) logHeartbeat(e event) {
	l, err := &m.loop, e.err
	switch f := faultOf(err); f {
	case none, rebalancing:
		m.updateStatus(func(s *Status) { s.LastHeartbeat = e.sent })
		if l.heartbeatsFail {
			m.logger.Info("group: heartbeats are answered again")
		}
		l.heartbeatsFail = false
	case transient, denied:
		m.recordError(err)
		if !l.heartbeatsFail {
			m.logger.Warn("group: heartbeats fail; the group gives the partitions to others when session_timeout_ms is over",
				"error", err)
		}
		l.heartbeatsFail = true
	default:
		m.recordError(err)
		m.logger.Debug("group: the heartbeat was refused: the generation is over", "error", err)
	}
}

// carryOut carries out one action.
func (m *Member) carryOut(work context.Context, a action) {
	l := &m.loop
	switch a.kind {
	case doJoin:
		m.committer.endGeneration()
		id, metadata := l.machine.id, m.subscription()
		m.startOperation(work, func(ctx context.Context) eventData { return m.join(ctx, id, metadata) })
	case doSync:
		member, join, seen, topics := identity{l.machine.id, l.machine.generation}, l.join, l.seen, l.topics
		m.startOperation(work, func(ctx context.Context) eventData { return m.sync(ctx, member, join, seen, topics) })
	case doAssign:
		m.assign(work)
	case doDrain:
		m.startOperation(work, m.drain)
	case doCancel:
		m.cancelOperation()
	case doWait:
		l.timer.Reset(a.pause)
	case doLeave:
		l.leavingID = l.machine.id
	}
}

// startOperation starts an operation. runLoop handles its result, or cancelOperation drops it.
func (m *Member) startOperation(work context.Context, run func(context.Context) eventData) {
	ctx, cancel := context.WithCancel(work)
	operation := &operation{cancel: cancel, done: make(chan eventData, 1)}
	m.loop.operation = operation
	go func() { operation.done <- run(ctx) }()
}

// cancelOperation ends the step that is under way, and waits for that. Requests end at once with their context.
func (m *Member) cancelOperation() {
	if operation := m.loop.operation; operation != nil {
		operation.cancel()
		<-operation.done
		m.loop.operation = nil
	}
}

// publishState makes visible what the machine has become.
func (m *Member) publishState() {
	l := &m.loop
	member := identity{}
	if l.machine.alive() {
		member = identity{l.machine.id, l.machine.generation}
	}
	m.heartbeater.setIdentity(member)
	m.updateStatus(func(s *Status) {
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
func (m *Member) join(ctx context.Context, id string, metadata []byte) eventData {
	answer, err := m.coordinator.join(ctx, id, metadata)
	switch {
	case err != nil:
		return eventData{event: event{kind: failed, err: err}}
	case answer.Code != 0:
		return eventData{event: event{kind: named, id: answer.MemberID}}
	}
	return eventData{event: event{kind: joined, id: answer.MemberID, generation: answer.Generation}, join: answer}
}

// sync is a step: it deals out partitions if the member leads, gets the member's own, and looks up where they begin.
func (m *Member) sync(
	ctx context.Context, member identity, join *wire.JoinAnswer, seen uint64, topics map[string]int,
) eventData {
	fail := func(err error) eventData { return eventData{event: event{kind: failed, err: err}} }
	var plan assignmentPlan
	if join.Leader == join.MemberID {
		var err error
		if plan, err = m.assignPartitions(ctx, join, topics); err != nil {
			return fail(fmt.Errorf("assigning partitions to the group's members: %w", err))
		}
	}
	parts, assignedFor, err := m.coordinator.sync(ctx, member, join.Protocol, plan.assignments)
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
	outdated := assignedFor != 0 && assignedFor != seen
	return eventData{event: event{kind: synced, outdated: outdated}, given: given, others: plan.others}
}

// assignmentPlan is what a leader has decided.
type assignmentPlan struct {
	assignments map[string][]byte // by member
	others      map[string]int    // topics that only others want, with their partition counts
}

// assignPartitions assigns every partition of the topics that members subscribe to. A topic that is not there is left
// out, alone; a member that cannot be read gets nothing, alone. seen are the topics that this member wants and has
// seen.
func (m *Member) assignPartitions(
	ctx context.Context, join *wire.JoinAnswer, seen map[string]int,
) (assignmentPlan, error) {
	assignor := assign.Find(join.Protocol)
	if assignor == nil {
		return assignmentPlan{}, fmt.Errorf("the group has agreed on the assignor %q, which this member never offered",
			join.Protocol)
	}
	plan := assignmentPlan{assignments: make(map[string][]byte), others: make(map[string]int)}
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
		cluster, err := m.clusterNow(ctx, slices.Collect(maps.Keys(topics)))
		if err != nil {
			return assignmentPlan{}, err
		}
		for topic := range topics {
			topics[topic] = m.resolver.count(cluster, topic)
			if !m.config.Match(topic) {
				plan.others[topic] = topics[topic]
			}
		}
	} else { // all members want and have seen the same: nobody waits for another look
		topics = seen
	}
	assigned := assignor.Assign(topics, members)
	for _, member := range members {
		plan.assignments[member.ID] = assign.EncodeAssignment(assigned[member.ID], member.Seen)
	}
	return plan, nil
}

// clusterNow returns what the cluster says of topics now: a follower may have joined for what it saw, and the
// leader's view has to be the same. Without an answer there is still what the resolver has seen.
func (m *Member) clusterNow(ctx context.Context, topics []string) (*kafka.Cluster, error) {
	limited, cancel := context.WithTimeout(ctx, metadataTimeout)
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
	m.heartbeater.restartInterval()
	a := Assignment{Generation: l.machine.generation, Partitions: l.assigned}
	parts := sortedPartitions(a.Partitions)
	found := make(map[kafka.TopicPartition]int64, len(parts))
	l.owned = assign.UserData{Generation: a.Generation}
	for _, p := range parts {
		found[p] = a.Partitions[p].Committed
		l.owned.Owned = append(l.owned.Owned, assign.TopicPartition(p))
	}
	leads := l.join.Leader == l.join.MemberID
	m.updateStatus(func(s *Status) {
		s.Assigned, s.Protocol, s.Leader = parts, l.join.Protocol, leads
		s.LastRebalance = time.Now()
		s.Rebalances++
	})
	m.logger.Info("group: a generation begins", "generation", a.Generation, "partitions", len(parts), "protocol",
		l.join.Protocol, "leader", leads, "because", l.reason)
	member := identity{l.machine.id, l.machine.generation}
	m.committer.beginGeneration(work, member, found, func() { m.config.Consumer.Assign(a) })
}

// drain is a step: the Consumer finishes, within what the group waits for a member, and what it finished is committed.
func (m *Member) drain(ctx context.Context) eventData {
	limit := min(m.config.Drain, drainLimit(m.settings))
	limited, cancel := context.WithTimeout(ctx, limit)
	m.config.Consumer.Drain(limited)
	if limited.Err() != nil {
		m.logger.Warn("group: handlers had not ended in time and were cancelled; their records will be handled again",
			"limit", limit)
	}
	cancel()
	if m.config.Commit > 0 {
		limited, cancel = context.WithTimeout(ctx, min(commitReserve, m.settings.RebalanceTimeout/4))
		defer cancel()
		if err := m.committer.last(limited); err != nil {
			m.logger.Warn("group: the last commit of the generation has failed; what was finished since the one before will "+
				"be handled again", "error", err)
		}
	}
	return eventData{event: event{kind: drained}}
}

// drainLimit is how long a drain may take for the member to be back in time. It may have heard of the rebalance a
// heartbeat late.
func drainLimit(s kafka.Settings) time.Duration {
	return max(s.RebalanceTimeout-s.HeartbeatInterval-commitReserve, s.RebalanceTimeout/2)
}

// leave takes the member out of the group, if it has to.
func (m *Member) leave(ctx context.Context) {
	if m.loop.leavingID == "" {
		return
	}
	if err := m.coordinator.leave(ctx, m.loop.leavingID); err != nil {
		m.logger.Warn("group: leaving has failed; the group notices when session_timeout_ms is over", "error", err)
	}
}
