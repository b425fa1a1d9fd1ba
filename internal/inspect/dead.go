package inspect

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// DeadLetters is a stream of the records that a group has given up.
type DeadLetters struct {
	// Stream is where the records came from, and Group the one that gave them up.
	Stream string `json:"stream"`
	Group  string `json:"group"`
	// DeadStream is the stream that they lie in.
	DeadStream string `json:"dead_stream"`
	// Records is how many there are, whether they have been replayed or not.
	Records int64 `json:"records"`
	// Oldest and Newest are the times when the first and the last of them were given up; null where there are none, or
	// they could not be read.
	Oldest *time.Time `json:"oldest"`
	Newest *time.Time `json:"newest"`
}

// Names of headers of dead letters; package bus has the same.
const (
	groupHeader       = "kafkaesk-group"
	firstStreamHeader = "kafkaesk-first-stream"
)

const deadSuffix = ".dead"

// DeadLetters returns the streams of dead letters, by name.
func (i *Inspector) DeadLetters(ctx context.Context) ([]DeadLetters, error) {
	cluster, err := i.client.AllTopics(ctx)
	if err != nil {
		return nil, err
	}
	var parts []kafka.TopicPartition
	for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
		stream, ours := i.stream(name)
		if source, dead := strings.CutSuffix(stream, deadSuffix); !ours || !dead || !strings.Contains(source, ".") {
			continue
		}
		for p := range cluster.Topics[name].Leaders {
			parts = append(parts, kafka.TopicPartition{Topic: name, Partition: int32(p)})
		}
	}
	firsts, ends := i.bounds(ctx, parts)
	oldest := i.first(ctx, firsts, ends)
	newest := i.newest(ctx, firsts, ends)
	found := []DeadLetters{}
	for _, tp := range parts {
		if len(found) == 0 || i.prefix+found[len(found)-1].DeadStream != tp.Topic {
			d := DeadLetters{DeadStream: strings.TrimPrefix(tp.Topic, i.prefix)}
			d.Stream, d.Group = splitDead(d.DeadStream)
			if t, ok := newest[tp.Topic]; ok {
				d.Newest = &t
			}
			found = append(found, d)
		}
		d := &found[len(found)-1]
		if first, known := firsts[tp]; known {
			d.Records += max(ends[tp]-first, 0) // without an end, nothing is known of the partition
		}
		if r, ok := oldest[tp]; ok {
			d.see(&r)
		}
	}
	return found, nil
}

// see takes over what the oldest record of a partition says.
func (d *DeadLetters) see(r *wire.Record) {
	if t := r.Time.UTC(); hasTime(t) && (d.Oldest == nil || t.Before(*d.Oldest)) {
		d.Oldest = &t
	}
	stream, group := header(r, firstStreamHeader), header(r, groupHeader)
	if stream+"."+group+deadSuffix == d.DeadStream { // where the names have dots, only the headers tell them apart
		d.Stream, d.Group = stream, group
	}
}

// splitDead takes what stands behind the last dot for the group.
func splitDead(deadStream string) (stream, group string) {
	name := strings.TrimSuffix(deadStream, deadSuffix)
	dot := strings.LastIndexByte(name, '.')
	return name[:dot], name[dot+1:]
}

// header returns the value of the record's last header of that name.
func header(r *wire.Record, name string) string {
	for n := len(r.Headers) - 1; n >= 0; n-- {
		if r.Headers[n].Name == name {
			return string(r.Headers[n].Value)
		}
	}
	return ""
}
