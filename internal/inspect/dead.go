package inspect

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// DeadLetters describes a stream of dead letters.
type DeadLetters struct {
	// Stream is the source of the records, and Group the group whose handler failed.
	Stream string `json:"stream"`
	Group  string `json:"group"`
	// DeadStream is the stream that contains the dead letters.
	DeadStream string `json:"dead_stream"`
	// Records is the number of dead letters, replayed ones included.
	Records int64 `json:"records"`
	// Oldest and Newest are the times of the first and the last dead letter; null without any, or when they could not
	// be read.
	Oldest *time.Time `json:"oldest"`
	Newest *time.Time `json:"newest"`
	// Open is how many of them have been neither replayed nor dropped; null where CountOpen was not called, or could not
	// tell.
	Open *int64 `json:"open,omitempty"`

	begins map[int32]beginning // of the partitions that have records
}

// beginning is where a partition of dead letters begins.
type beginning struct {
	offset int64
	time   time.Time // of its first record
}

// mostMarks bounds what is read of the stream that says what was done with dead letters. Package bus writes it.
const mostMarks = 20_000

// DeadLetters returns the streams of dead letters, sorted by name.
func (i *Inspector) DeadLetters(ctx context.Context) ([]DeadLetters, error) {
	cluster, err := i.client.AllTopics(ctx)
	if err != nil {
		return nil, err
	}
	var parts []kafka.TopicPartition
	for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
		stream, ours := i.stream(name)
		if source, dead := strings.CutSuffix(stream, streams.DeadSuffix); !ours || !dead || !strings.Contains(source, ".") {
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
			d := DeadLetters{DeadStream: strings.TrimPrefix(tp.Topic, i.prefix), begins: make(map[int32]beginning)}
			d.Stream, d.Group = splitDead(d.DeadStream)
			if t, ok := newest[tp.Topic]; ok {
				d.Newest = &t
			}
			found = append(found, d)
		}
		d := &found[len(found)-1]
		if first, known := firsts[tp]; known {
			d.Records += max(ends[tp]-first, 0) // 0 for a partition whose end is unknown
		}
		if r, ok := oldest[tp]; ok {
			d.see(&r)
			d.begins[tp.Partition] = beginning{firsts[tp], r.Time}
		}
	}
	return found, nil
}

// CountOpen sets Open where it can be told by reading at most mostMarks records.
func (i *Inspector) CountOpen(ctx context.Context, all []DeadLetters) error {
	cluster, err := i.client.AllTopics(ctx)
	if err != nil {
		return err
	}
	logs := make(map[kafka.TopicPartition]*DeadLetters)
	var parts []kafka.TopicPartition
	for n := range all {
		d := &all[n]
		log := kafka.TopicPartition{Topic: i.prefix + streams.ReplayLog(d.Stream, d.Group)}
		if cluster.Topics[log.Topic] == nil {
			d.Open = &d.Records
			continue
		}
		logs[log] = d
		parts = append(parts, log)
	}
	firsts, ends := i.bounds(ctx, parts)
	for tp, d := range logs {
		first, known := firsts[tp]
		end, ended := ends[tp]
		if known && ended && end-first <= mostMarks {
			d.countOpen(i.marks(ctx, tp, first, end))
		}
	}
	return nil
}

// marks reads what was done with dead letters, by the keys of the marks; whole is false where it was not all read.
func (i *Inspector) marks(ctx context.Context, log kafka.TopicPartition, first, end int64) (
	marks streams.Marks, whole bool,
) {
	marks = make(streams.Marks)
	whole = first == end
	i.read(ctx, offsets{log: first}, offsets{log: end}, func(_ map[kafka.TopicPartition]wire.Record, c *fetch.Chunk) bool {
		for _, r := range c.Records {
			marks.Apply(r.Key, r.Value)
		}
		whole = c.Next >= end
		return false
	})
	return marks, whole
}

// countOpen counts the dead letters that are there and have no mark. A mark that is older than the partition's first
// record is that of a stream which was deleted and made again.
func (d *DeadLetters) countOpen(marks streams.Marks, whole bool) {
	if !whole {
		return
	}
	open := d.Records
	for key, m := range marks {
		partition, offset, ok := streams.ParseMarkKey(key)
		first, known := d.begins[partition]
		if ok && known && offset >= first.offset && m.RecordTime >= first.time.UnixMilli() {
			open--
		}
	}
	d.Open = new(max(open, 0))
}

// see takes over what the oldest record of a partition says.
func (d *DeadLetters) see(r *wire.Record) {
	if t := r.Time.UTC(); hasTime(t) && (d.Oldest == nil || t.Before(*d.Oldest)) {
		d.Oldest = &t
	}
	stream, group := header(r, streams.FirstStreamHeader), header(r, streams.GroupHeader)
	if streams.Dead(stream, group) == d.DeadStream { // names with dots cannot be split: the headers decide
		d.Stream, d.Group = stream, group
	}
}

// splitDead splits the name of a dead-letter stream at the last dot before its suffix.
func splitDead(deadStream string) (stream, group string) {
	name := strings.TrimSuffix(deadStream, streams.DeadSuffix)
	dot := strings.LastIndexByte(name, '.')
	return name[:dot], name[dot+1:]
}

// header returns the value of the record's last header with that name.
func header(r *wire.Record, name string) string {
	for n := len(r.Headers) - 1; n >= 0; n-- {
		if r.Headers[n].Name == name {
			return string(r.Headers[n].Value)
		}
	}
	return ""
}
