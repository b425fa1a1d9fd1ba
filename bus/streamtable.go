package bus

import (
	"slices"
	"strings"
)

// streamTable collects what an App knows of its streams.
type streamTable struct {
	prefix  string
	streams map[string]*StreamStats
}

func newStreamTable(prefix string) *streamTable {
	return &streamTable{prefix: prefix, streams: make(map[string]*StreamStats)}
}

// of returns a stream's row.
func (t *streamTable) of(stream string) *StreamStats {
	s := t.streams[stream]
	if s == nil {
		s = &StreamStats{Stream: stream, Topic: t.prefix + stream}
		t.streams[stream] = s
	}
	return s
}

// read records that a group reads a stream.
func (t *streamTable) read(stream string, partitions int, group string) {
	s := t.of(stream)
	s.Partitions = max(s.Partitions, partitions)
	if !slices.Contains(s.Groups, group) {
		s.Groups = append(s.Groups, group)
	}
}

func (t *streamTable) sorted() []StreamStats {
	all := make([]StreamStats, 0, len(t.streams))
	for _, s := range t.streams {
		slices.Sort(s.Groups)
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b StreamStats) int { return strings.Compare(a.Stream, b.Stream) })
	return all
}

// streamsOf returns the names of topics as the application knows them, sorted.
func (c *connection) streamsOf(topics map[string]int) []string {
	streams := make([]string, 0, len(topics))
	for topic := range topics {
		streams = append(streams, c.stream(topic))
	}
	slices.Sort(streams)
	return streams
}

// stream returns the name of a topic as the application knows it.
func (c *connection) stream(topic string) string { return strings.TrimPrefix(topic, c.prefix) }
