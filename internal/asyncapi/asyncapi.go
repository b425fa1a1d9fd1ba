// Package asyncapi describes an application as an AsyncAPI 3.0 document. Streams become channels, schemas become
// messages, publishing becomes send operations, and subscriptions become receive operations.
package asyncapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
)

// Info is the document's own description.
type Info struct {
	Title   string `json:"title"`
	Version string `json:"version"`
}

// Document is an AsyncAPI document. Maps are encoded in the order of their keys, so the same App always gives the
// same text.
type Document struct {
	AsyncAPI           string               `json:"asyncapi"`
	Info               Info                 `json:"info"`
	DefaultContentType string               `json:"defaultContentType"`
	Servers            map[string]server    `json:"servers,omitempty"`
	Channels           map[string]channel   `json:"channels"`
	Operations         map[string]operation `json:"operations"`
	Components         components           `json:"components"`
}

type server struct {
	Host     string `json:"host"`
	Protocol string `json:"protocol"`
}

type channel struct {
	Address     *string        `json:"address"` // null: unknown
	Description string         `json:"description,omitempty"`
	Messages    map[string]ref `json:"messages"`
	Bindings    *bindings      `json:"bindings,omitempty"`
}

type operation struct {
	Action   string    `json:"action"`
	Channel  ref       `json:"channel"`
	Messages []ref     `json:"messages,omitempty"`
	Bindings *bindings `json:"bindings,omitempty"`
}

type message struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Payload any    `json:"payload"`
}

type components struct {
	Messages map[string]message `json:"messages"`
	Schemas  map[string]any     `json:"schemas"`
}

type ref struct {
	Ref string `json:"$ref"`
}

type bindings struct {
	Kafka map[string]any `json:"kafka"`
}

const bindingVersion = "0.5.0"

// defaultPartitions is the number of partitions of a topic whose schema declares none.
const defaultPartitions = 7

// builder makes one document.
type builder struct {
	app  *appinfo.App
	doc  *Document
	used map[string]string // the assigned keys by kind and name: two names never share a key
}

// New makes the document of an App.
func New(app *appinfo.App, info Info) (*Document, error) {
	b := &builder{app: app, used: make(map[string]string), doc: &Document{
		AsyncAPI: "3.0.0", Info: info, DefaultContentType: "application/json",
		Servers: make(map[string]server), Channels: make(map[string]channel), Operations: make(map[string]operation),
		Components: components{Messages: make(map[string]message), Schemas: make(map[string]any)},
	}}
	b.servers()
	for _, s := range app.Schemas {
		if err := b.message(s); err != nil {
			return nil, fmt.Errorf("schema %s: %w", s.Name(), err)
		}
	}
	for _, stream := range app.Streams() {
		b.stream(stream)
	}
	for _, s := range app.Subscriptions {
		b.subscription(s)
	}
	return b.doc, nil
}

func (b *builder) servers() {
	protocol := "kafka"
	if strings.HasSuffix(b.app.SecurityProtocol, "SSL") {
		protocol = "kafka-secure"
	}
	for i, address := range b.app.Servers {
		b.doc.Servers["kafka"+strconv.Itoa(i+1)] = server{Host: address, Protocol: protocol}
	}
}

var notInKeys = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// key returns the key of a name in the document. It consists of letters, digits, dots, dashes and underscores.
// Different names have different keys.
func (b *builder) key(kind, name string) string {
	key := notInKeys.ReplaceAllString(name, ".")
	for n := 2; ; n++ {
		owner, taken := b.used[kind+key]
		if !taken || owner == name {
			b.used[kind+key] = name
			return key
		}
		key = notInKeys.ReplaceAllString(name, ".") + "-" + strconv.Itoa(n)
	}
}

func (b *builder) messageKey(s appinfo.Schema) string { return b.key("message ", s.Name()) }

// message adds the message of a schema: the envelope with the schema's name and data.
func (b *builder) message(s appinfo.Schema) error {
	var root any
	if err := json.Unmarshal(s.JSONSchema, &root); err != nil {
		return err
	}
	key := b.messageKey(s)
	data := schemas{prefix: key, components: b.doc.Components.Schemas}
	data.add(key, root)
	b.doc.Components.Messages[key] = message{Name: s.Name(), Title: s.ID, Payload: map[string]any{
		"type": "object", "required": []string{"schema", "data"},
		"properties": map[string]any{
			"schema": map[string]any{"const": s.Name()},
			"data":   schemaRef(key),
		},
	}}
	return nil
}

// stream adds the channel of a declared stream, and the operation that sends to it.
func (b *builder) stream(stream string) {
	declared := b.app.Of(stream)
	key := b.key("channel ", stream)
	topic := b.app.TopicPrefix + stream
	c := channel{Address: &topic, Messages: make(map[string]ref), Bindings: topicBindings(declared[0])}
	var sent []ref
	for _, s := range declared {
		name := b.messageKey(s)
		c.Messages[name] = ref{"#/components/messages/" + name}
		sent = append(sent, ref{"#/channels/" + key + "/messages/" + name})
	}
	b.doc.Channels[key] = c
	b.doc.Operations[b.key("operation ", "send."+stream)] = operation{Action: "send", Channel: ref{"#/channels/" + key},
		Messages: sent}
}

// topicBindings describes how the topic of a schema's streams is created.
func topicBindings(s appinfo.Schema) *bindings {
	configuration := make(map[string]any)
	if s.RetentionMS > 0 {
		configuration["retention.ms"] = s.RetentionMS
	}
	for name, value := range s.TopicConfigs {
		configuration[name] = configValue(name, value)
	}
	partitions := s.Partitions
	if partitions == 0 {
		partitions = defaultPartitions
	}
	kafka := map[string]any{"partitions": partitions, "bindingVersion": bindingVersion}
	if len(configuration) > 0 {
		kafka["topicConfiguration"] = configuration
	}
	return &bindings{kafka}
}

// configValue converts a topic's setting for the Kafka binding of AsyncAPI: cleanup.policy is a list, times and sizes
// are numbers.
func configValue(name, value string) any {
	if name == "cleanup.policy" {
		return strings.Split(strings.ReplaceAll(value, " ", ""), ",")
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	return value
}

// subscription adds the receive operations: one for each known stream that matches, and one for each pattern that
// matches no known stream.
func (b *builder) subscription(s appinfo.Subscription) {
	kafka := &bindings{map[string]any{
		"groupId": map[string]any{"type": "string", "enum": []string{s.Group}}, "bindingVersion": bindingVersion,
	}}
	for _, pattern := range s.Patterns {
		matched := slices.DeleteFunc(b.app.Streams(), func(stream string) bool {
			return !(appinfo.Subscription{Patterns: []string{pattern}}).Reads(stream)
		})
		if len(matched) == 0 {
			b.unknown(pattern)
			matched = []string{pattern}
		}
		for _, stream := range matched {
			b.doc.Operations[b.key("operation ", "receive."+s.Group+"."+stream)] = operation{
				Action: "receive", Channel: ref{"#/channels/" + b.key("channel ", stream)}, Bindings: kafka,
			}
		}
	}
}

// unknown adds the channel of a pattern that matches no declared stream. Its streams belong to other applications, or
// their names are unknown.
func (b *builder) unknown(pattern string) {
	c := channel{Messages: make(map[string]ref), Description: "streams that match the pattern " + pattern}
	if !strings.ContainsAny(pattern, "*?[") {
		topic := b.app.TopicPrefix + pattern
		c.Address, c.Description = &topic, ""
	}
	b.doc.Channels[b.key("channel ", pattern)] = c
}
