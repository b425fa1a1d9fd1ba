package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/near"
	busstreams "github.com/kafkaesk/kafkaesk/internal/streams"
)

// nameCharacters are the characters that the name of a topic can have.
const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// pattern is a pattern of the command line, and the stream that a pattern ending in .* also matches.
type pattern struct {
	text     string
	compiled []fnmatch.Pattern
}

// compilePatterns refuses patterns that no stream can match: logtail would wait without output.
func compilePatterns(prefix string, texts []string) ([]pattern, error) {
	patterns := make([]pattern, len(texts))
	for i, text := range texts {
		if text == "" {
			return nil, errors.New("a pattern is empty; '*' matches every stream")
		}
		if part, _ := fnmatch.Impossible(text, nameCharacters); part != "" && len(text) <= fnmatch.MaxPattern {
			return nil, fmt.Errorf("the pattern %q matches no stream: no name contains %q; a pattern is a shell "+
				"pattern, not a regular expression, and several are separate arguments", text, part)
		}
		patterns[i].text = text
		for _, t := range alsoNamed(text) {
			p, err := fnmatch.Compile(prefix, t)
			if err != nil {
				return nil, fmt.Errorf("the pattern %.20q...: %w", text, err)
			}
			patterns[i].compiled = append(patterns[i].compiled, p)
		}
	}
	return patterns, nil
}

// alsoNamed returns, for a pattern that ends in .*, the stream before the dot.
func alsoNamed(text string) []string {
	if name, ok := strings.CutSuffix(text, ".*"); ok && name != "" {
		return []string{text, name}
	}
	return []string{text}
}

// match reports whether the pattern matches a topic. It matches the bus's own streams only if it names them.
func (p *pattern) match(prefix, topic string) bool {
	return p.matches(topic) && (busstreams.NamesOwn(p.text) || !busstreams.IsOwn(strings.TrimPrefix(topic, prefix)))
}

func (p *pattern) matches(topic string) bool {
	return slices.ContainsFunc(p.compiled, func(c fnmatch.Pattern) bool { return c.Match(topic) })
}

// match reports whether a topic is read.
func (o *options) match(topic string) bool {
	return slices.ContainsFunc(o.patterns, func(p pattern) bool { return p.match(o.prefix, topic) }) &&
		!slices.ContainsFunc(o.excluded, func(p pattern) bool { return p.matches(topic) }) &&
		(o.within == nil || o.within(topic))
}

// named returns the only topics that can match; nil if a pattern can match any.
func (o *options) named() []string {
	var topics []string
	for _, p := range o.patterns {
		if fnmatch.HasMeta(p.text) {
			return nil
		}
		topics = append(topics, o.prefix+p.text)
	}
	return topics
}

// opened reports the patterns that match no existing topic.
func (o *options) opened(matched map[string]int, all []string) {
	for _, p := range o.patterns {
		if slices.ContainsFunc(all, func(topic string) bool {
			_, ok := matched[topic]
			return ok &&
				p.matches(topic)
		}) {
			continue
		}
		var streams []string
		for _, topic := range all {
			if stream, ok := strings.CutPrefix(topic, o.prefix); ok && !strings.HasPrefix(topic, "__") &&
				(o.within == nil || o.within(topic)) {
				streams = append(streams, stream)
			}
		}
		then := "; waiting for one"
		if o.noFollow {
			then = ""
		}
		names := near.Matching(p.text, slices.Values(streams))
		if len(names) == 0 {
			o.notice("no stream matches %q%s; of %d streams; logtail --streams '*' lists them", p.text, then,
				len(streams))
			continue
		}
		o.notice("no stream matches %q%s; similar names: %s", p.text, then, strings.Join(names, ", "))
	}
}

// position is the partition and offset of a record.
type position struct {
	tp     kafka.TopicPartition
	offset int64
}

var positionForm = regexp.MustCompile(`^(.+)/([0-9]{1,9})@([0-9]{1,18})$`)

// parsePosition parses STREAM/PARTITION@OFFSET.
func parsePosition(prefix, text string) (position, bool) {
	m := positionForm.FindStringSubmatch(text)
	if m == nil {
		return position{}, false
	}
	partition, _ := strconv.ParseInt(m[2], 10, 32) // nine digits fit
	offset, _ := strconv.ParseInt(m[3], 10, 64)
	return position{kafka.TopicPartition{Topic: prefix + m[1], Partition: int32(partition)}, offset}, true
}

func (o *options) placeName(p *position) string {
	return fmt.Sprintf("%s/%d@%d", strings.TrimPrefix(p.tp.Topic, o.prefix), p.tp.Partition, p.offset)
}

// nowhere returns why the offset of --from does not exist; nil if it does. The end of a partition exists: the next
// record is written there.
func (o *options) nowhere(matched map[string]int, ends map[kafka.TopicPartition]int64) error {
	if o.offset == nil || o.offset.tp.Topic == "" {
		return nil
	}
	tp := o.offset.tp
	var why string
	partitions, ok := matched[tp.Topic]
	end, readable := ends[tp]
	switch {
	case !ok:
		why = strings.TrimPrefix(tp.Topic, o.prefix) + " does not match"
	case int(tp.Partition) >= partitions:
		why = "the stream has " + cliflags.Count(partitions, "partition") + ", counted from 0"
	case readable && o.offset.offset > end:
		why = fmt.Sprintf("the partition ends at offset %d", end)
	default:
		return nil
	}
	return fmt.Errorf("--from: no record at %s: %s", o.placeName(o.offset), why)
}

// noticeDeleted reports where records that --from asks for are deleted. starts are the first records of the
// partitions.
func (o *options) noticeDeleted(starts map[kafka.TopicPartition]int64) {
	if o.offset == nil {
		return
	}
	var behind []kafka.TopicPartition
	for tp, start := range starts {
		if o.offset.offset < start && (o.offset.tp.Topic == "" || o.offset.tp == tp) {
			behind = append(behind, tp)
		}
	}
	if len(behind) == 0 {
		return
	}
	first := slices.MinFunc(behind, kafka.TopicPartition.Compare)
	others := ""
	if len(behind) > 1 {
		others = fmt.Sprintf(", and others (%d partitions in all)", len(behind))
	}
	o.notice("--from: records are deleted: %s/%d begins at offset %d%s", strings.TrimPrefix(first.Topic, o.prefix),
		first.Partition, starts[first], others)
}
