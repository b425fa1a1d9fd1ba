package kafka

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// These bound the age of what is known of watched topics, unless metadata_max_age_ms is set. A leader that has moved is
// found sooner, because whoever gets an error that says so calls Watch.Refresh.
const (
	knownAge   = 10 * time.Second        // of a topic that is there: its partitions may become more
	missingAge = time.Second             // of a topic that is not there yet, or lacks a leader
	allAge     = 2500 * time.Millisecond // of all topics: new ones may match a pattern
	refreshAge = 250 * time.Millisecond  // the least time between two looks for which Refresh was called
)

// WatchOptions say what a [Watch] is to know of the cluster.
type WatchOptions struct {
	// All: every topic, because the names of those that are wanted are not known.
	All bool
	// Every is how soon a new topic has to be seen with All. Defaults to 2.5s; metadata_max_age_ms counts instead
	// where it is set.
	Every time.Duration
	// Changed is called when Cluster returns something else than before, and after each failure to look. It must
	// return soon, and must not call Close. Calls do not overlap.
	Changed func()
}

// Watch is what one part of an application knows of the cluster. All of a Client's watches share one goroutine, which
// asks a broker for what they want together. It must be closed.
type Watch struct {
	client  *Client
	options WatchOptions
	topics  map[string]bool // by name; guarded by watcher.mu
}

// Watch begins to watch. Without All, SetTopics says which topics.
func (c *Client) Watch(o WatchOptions) *Watch {
	w := &Watch{client: c, options: o}
	c.watcher.add(w)
	return w
}

// SetTopics replaces the topics that are watched by their names. One that nobody has watched is asked for at once.
func (w *Watch) SetTopics(names []string) { w.client.watcher.setTopics(w, names) }

// Cluster returns the latest snapshot, nil as long as not everything that is watched has been asked for, and the
// error of the last look, nil if it succeeded. asked is when the watched topic with the oldest answer was asked for: an
// answer to [Client.Topics] may be newer. It does no I/O.
func (w *Watch) Cluster() (cluster *Cluster, asked time.Time, err error) {
	return w.client.watcher.snapshot(w)
}

// Refresh makes the watcher ask soon for all topics that are watched by name, because their leaders may have
// changed. It does not wait.
func (w *Watch) Refresh() { w.client.watcher.refresh() }

// Close ends the watch. When it returns Changed is not called any more.
func (w *Watch) Close() { w.client.watcher.remove(w) }

// watcher asks for the metadata that the watches of a Client want.
type watcher struct {
	client *Client
	wake   chan struct{}
	wg     sync.WaitGroup // its goroutine
	calls  sync.Mutex     // held while Changed is called

	mu        sync.Mutex
	watches   map[*Watch]bool
	running   bool
	names     map[string]*watchedTopic
	cluster   *Cluster // the latest snapshot
	all       []byte   // the last answer for all topics, while the snapshot says the same
	lastAll   time.Time
	began     time.Time // when the last look that succeeded did
	err       error     // of the last look
	failures  int       // in a row
	lastAsked time.Time
	refreshes bool // Refresh was called since
}

// watchedTopic is a topic that is watched by its name.
type watchedTopic struct {
	watches int
	asked   time.Time // by name, or zero
}

func newWatcher(c *Client) *watcher {
	return &watcher{client: c, wake: make(chan struct{}, 1), watches: make(map[*Watch]bool),
		names: make(map[string]*watchedTopic)}
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) add(watch *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watches[watch] = true
	if !w.running && w.client.ctx.Err() == nil {
		w.running = true
		w.wg.Go(w.run)
	}
	w.signal()
}

func (w *watcher) setTopics(watch *Watch, names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watches[watch] {
		w.setTopicsLocked(watch, names)
	}
	w.signal()
}

func (w *watcher) setTopicsLocked(watch *Watch, names []string) {
	before := watch.topics
	watch.topics = make(map[string]bool, len(names))
	for _, name := range names {
		watch.topics[name] = true
		if before[name] {
			continue
		}
		if w.names[name] == nil {
			w.names[name] = new(watchedTopic)
		}
		w.names[name].watches++
	}
	for name := range before {
		if watch.topics[name] {
			continue
		}
		if w.names[name].watches--; w.names[name].watches == 0 {
			delete(w.names, name)
		}
	}
}

func (w *watcher) remove(watch *Watch) {
	w.calls.Lock()
	defer w.calls.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.watches[watch] {
		return
	}
	w.setTopicsLocked(watch, nil)
	delete(w.watches, watch)
	if w.cluster != nil && !w.wantsAllLocked() {
		// Nobody asks for the others any more: what is known of them grows old.
		w.all, w.lastAll = nil, time.Time{}
		topics := make(map[string]*Topic, len(w.names))
		for name := range w.names {
			if topic := w.cluster.Topics[name]; topic != nil {
				topics[name] = topic
			}
		}
		w.cluster = &Cluster{Brokers: w.cluster.Brokers, Topics: topics}
	}
}

func (w *watcher) wantsAllLocked() bool {
	for watch := range w.watches {
		if watch.options.All {
			return true
		}
	}
	return false
}

func (w *watcher) snapshot(watch *Watch) (cluster *Cluster, asked time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked = w.began
	if watch.options.All {
		asked = w.lastAll
	}
	for name := range watch.topics {
		if at := w.names[name].latest(w.lastAll); at.Before(asked) {
			asked = at
		}
	}
	if asked.IsZero() {
		return nil, asked, w.err
	}
	return w.cluster, asked, w.err
}

// KnownTopics returns the topics of the latest snapshot that the Client's watches share; nil before the first one. It
// does no I/O. The map and the topics must not be changed.
func (c *Client) KnownTopics() map[string]*Topic {
	c.watcher.mu.Lock()
	defer c.watcher.mu.Unlock()
	if c.watcher.cluster == nil {
		return nil
	}
	return c.watcher.cluster.Topics
}

// known returns the snapshot if all of topics are watched, there and led; else nil.
func (w *watcher) known(topics []string) *Cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range topics {
		if w.names[name] == nil && !w.wantsAllLocked() {
			return nil
		}
		if w.cluster == nil || !w.cluster.Topics[name].complete() {
			return nil
		}
	}
	return w.cluster
}

// refresh makes the watcher look soon.
func (w *watcher) refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.refreshes {
		w.refreshes = true
		w.signal()
	}
}

// run looks whenever something that is watched has become too old, until the Client is closed.
func (w *watcher) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		all, names, wait := w.due(time.Now())
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-w.wake:
			case <-timer.C:
			case <-w.client.ctx.Done():
				return
			}
			continue
		}
		began := time.Now()
		answer, err := w.client.askMetadata(w.client.ctx, all, names)
		if w.client.ctx.Err() != nil {
			return
		}
		if w.apply(began, all, names, answer, err) {
			w.call()
		}
	}
}

// call tells every watch that there is something new.
func (w *watcher) call() {
	w.calls.Lock()
	defer w.calls.Unlock()
	w.mu.Lock()
	var changed []func()
	for watch := range w.watches {
		if watch.options.Changed != nil {
			changed = append(changed, watch.options.Changed)
		}
	}
	w.mu.Unlock()
	for _, call := range changed {
		call()
	}
}

// close waits for the goroutine. The Client's context has ended.
func (w *watcher) close() {
	w.mu.Lock()
	w.running = true // add starts no goroutine any more
	w.mu.Unlock()
	w.wg.Wait()
}

// due returns what to ask for now, or how long to wait until there is something to ask for.
func (w *watcher) due(now time.Time) (all bool, names []string, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait = time.Hour
	later := func(at time.Time) bool {
		left := at.Sub(now)
		if left > 0 {
			wait = min(wait, left)
		}
		return left > 0
	}
	if w.failures > 0 {
		pause := Backoff{First: w.client.settings.RetryBackoff, Max: 2 * time.Second}.Delay(w.failures - 1)
		if Classify(w.err) == Denied {
			pause = loginPause
		}
		if later(w.lastAsked.Add(pause)) {
			return false, nil, wait
		}
	}
	if age, wanted := w.allAgeLocked(); wanted && !later(w.lastAll.Add(age)) {
		return true, nil, 0
	}
	// After a failure everything may have moved.
	fresh := (w.refreshes || w.failures > 0) && !later(w.lastAsked.Add(refreshAge))
	for name, t := range w.names {
		// One that nobody has asked for by its name may be too new for the last look at all of them.
		unseen := t.asked.IsZero() && (w.cluster == nil || !w.cluster.Topics[name].complete())
		if fresh || unseen || !later(t.latest(w.lastAll).Add(w.ageLocked(name))) {
			names = append(names, name)
		}
	}
	if len(names) > 0 || fresh {
		w.refreshes = w.refreshes && !fresh
		return false, names, 0
	}
	return false, nil, wait
}

func (t *watchedTopic) latest(all time.Time) time.Time {
	if all.After(t.asked) {
		return all
	}
	return t.asked
}

// allAgeLocked returns how old what is known of all topics may be, and whether anybody wants all.
func (w *watcher) allAgeLocked() (age time.Duration, wanted bool) {
	for watch := range w.watches {
		if !watch.options.All {
			continue
		}
		every := watch.options.Every
		if every <= 0 {
			every = allAge
		}
		if !wanted || every < age {
			age, wanted = every, true
		}
	}
	if limit := w.client.settings.MetadataMaxAge; limit > 0 {
		age = limit
	}
	return age, wanted
}

// ageLocked returns how old what is known of a topic may be.
func (w *watcher) ageLocked(name string) time.Duration {
	limit := w.client.settings.MetadataMaxAge
	var topic *Topic
	if w.cluster != nil {
		topic = w.cluster.Topics[name]
	}
	age := missingAge
	switch {
	case topic.complete():
		if limit > 0 {
			return limit
		}
		return knownAge
	case topic != nil && topic.Err != nil && !Classify(topic.Err).Retriable():
		age = loginPause // an operator has to repair that
	}
	if limit > 0 {
		age = min(age, limit)
	}
	return age
}

// apply takes over the answer to a question. It reports whether the watches have to hear of it.
func (w *watcher) apply(began time.Time, all bool, names []string, answer *wire.Metadata, err error) (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastAsked = time.Now()
	next := w.cluster
	if err == nil {
		next, err = w.mergeLocked(all, names, answer)
	}
	if err != nil {
		w.err = err
		w.failures++
		return true
	}
	changed = next != w.cluster || w.err != nil
	w.cluster, w.err, w.failures = next, nil, 0
	w.began = began
	if all {
		changed = changed || w.lastAll.IsZero()
		w.lastAll = began
	}
	for _, name := range names {
		if t := w.names[name]; t != nil {
			changed = changed || t.asked.IsZero()
			t.asked = began
		}
	}
	return changed
}

// mergeLocked returns the snapshot with what an answer says: the same one where it says nothing new.
func (w *watcher) mergeLocked(all bool, names []string, answer *wire.Metadata) (*Cluster, error) {
	brokers := brokersOf(answer)
	before := w.cluster
	if before == nil {
		before = new(Cluster)
	}
	changed := w.cluster == nil || !slices.Equal(before.Brokers, brokers)
	if all && !changed && w.all != nil && bytes.Equal(w.all, answer.TopicBytes()) {
		return before, nil // most of the time: nothing is decoded
	}
	seen, err := topicsOf(answer, brokers)
	if err != nil {
		return nil, err
	}
	next := &Cluster{Brokers: brokers, Topics: seen}
	if !all {
		next.Topics = maps.Clone(before.Topics)
		if next.Topics == nil {
			next.Topics = make(map[string]*Topic, len(names))
		}
		for _, name := range names {
			switch topic := seen[name]; {
			case topic == nil && next.Topics[name] != nil:
				changed = true
				delete(next.Topics, name)
			case topic != nil:
				next.Topics[name] = topic
			}
		}
	}
	for name, topic := range seen {
		if old := before.Topics[name]; old.equal(topic) {
			next.Topics[name] = old
		} else {
			changed = true
		}
	}
	changed = changed || len(next.Topics) != len(before.Topics)
	if all {
		w.all = answer.TopicBytes()
	} else if changed {
		w.all = nil // it says less than is known now
	}
	if !changed {
		return before, nil
	}
	return next, nil
}
