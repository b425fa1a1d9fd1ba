// Package appinfo is what an application declares: its schemas and subscriptions, as a worker prints them for
// --describe and the commands of kafkaesk read them. It holds no secret.
package appinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
)

// App is what an application declares, before it has asked any broker.
type App struct {
	// Servers and TopicPrefix are what the program configured, with the worker's flags and variables over it.
	Servers     []string `json:"servers"`
	TopicPrefix string   `json:"topic_prefix"`
	// SecurityProtocol is how the servers are connected to, as in SASL_SSL; "" when the settings are wrong.
	SecurityProtocol string `json:"security_protocol"`
	// ReplicationFactor is that of the topics the App creates; 0: one replica for each broker, at most 3.
	ReplicationFactor int `json:"replication_factor"`
	// Schemas are ordered by id and version.
	Schemas       []Schema       `json:"schemas"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// Schema is a declared schema.
type Schema struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	// RetentionMS is the retention of its streams' topics in milliseconds; 0: the broker's.
	RetentionMS int64 `json:"retention_ms"`
	// Partitions of its streams' topics; 0: 7.
	Partitions   int               `json:"partitions"`
	TopicConfigs map[string]string `json:"topic_configs"`
	Streams      []string          `json:"streams"`
	JSONSchema   json.RawMessage   `json:"json_schema"`
}

// Name returns the schema's name as envelopes have it, "Content:1".
func (s Schema) Name() string { return s.ID + ":" + strconv.Itoa(s.Version) }

// IsName reports whether a text has the form of a schema's name: an id, a colon, and a version from 1.
func IsName(text string) bool {
	id, version, ok := strings.Cut(text, ":")
	n, err := strconv.Atoi(version)
	return ok && id != "" && err == nil && n > 0
}

// Retention returns how long the schema's streams keep their records; 0: as long as the broker says.
func (s Schema) Retention() time.Duration { return time.Duration(s.RetentionMS) * time.Millisecond }

// Subscription is a declared subscription.
type Subscription struct {
	Patterns []string `json:"patterns"`
	Group    string   `json:"group"`
	// Handler is the name of the function; "" for a function literal.
	Handler string `json:"handler"`
	// DeadLetter says that records that are given up go to the stream <stream>.<group>.dead.
	DeadLetter bool `json:"dead_letter"`
	// RetryMS are the delays of the streams <stream>.<group>.retry.<n> in milliseconds.
	RetryMS []int64 `json:"retry_ms"`
}

// Reads reports whether one of the subscription's patterns matches a stream.
func (s Subscription) Reads(stream string) bool {
	return slices.ContainsFunc(s.Patterns, func(text string) bool {
		p, err := fnmatch.Compile("", text) // Subscribe has compiled it before
		return err == nil && p.Match(stream)
	})
}

// Schema returns the declared schema of a name such as "Content:1".
func (a *App) Schema(name string) (Schema, bool) {
	i := slices.IndexFunc(a.Schemas, func(s Schema) bool { return s.Name() == name })
	if i < 0 {
		return Schema{}, false
	}
	return a.Schemas[i], true
}

// Of returns the schemas that were declared for a stream, by version.
func (a *App) Of(stream string) []Schema {
	var all []Schema
	for _, s := range a.Schemas {
		if slices.Contains(s.Streams, stream) {
			all = append(all, s)
		}
	}
	return all
}

// Streams returns the streams that schemas declare, by name.
func (a *App) Streams() []string {
	var all []string
	for _, s := range a.Schemas {
		all = append(all, s.Streams...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Parse reads what a worker has printed for --describe.
func Parse(text []byte) (*App, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("the app has described nothing: does its program call worker.Main?")
	}
	app := new(App)
	if err := json.Unmarshal(text, app); err != nil {
		return nil, fmt.Errorf("the app's description is no JSON: does its program print to standard output before it calls "+
			"worker.Main? %w", err)
	}
	return app, nil
}
