// Package appinfo describes an application by its declared schemas and subscriptions. A worker prints the description
// for --describe, and the commands of kafkaesk read it. It holds no secret.
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

// App describes an application before it connects to a broker.
type App struct {
	// Servers and TopicPrefix are the App's configuration, overridden by the worker's flags and variables.
	Servers     []string `json:"servers"`
	TopicPrefix string   `json:"topic_prefix"`
	// SecurityProtocol is the setting security_protocol, such as SASL_SSL; "" when the settings are invalid.
	SecurityProtocol string `json:"security_protocol"`
	// ReplicationFactor of the topics that the App creates; 0: one replica on each broker, at most 3.
	ReplicationFactor int `json:"replication_factor"`
	// Schemas are ordered by id and version.
	Schemas       []Schema       `json:"schemas"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// Schema is a declared schema.
type Schema struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	// RetentionMS is the retention of the streams' topics in milliseconds; 0: the broker's default.
	RetentionMS int64 `json:"retention_ms"`
	// Partitions of each of the streams' topics; 0: 7.
	Partitions   int               `json:"partitions"`
	TopicConfigs map[string]string `json:"topic_configs"`
	Streams      []string          `json:"streams"`
	JSONSchema   json.RawMessage   `json:"json_schema"`
}

// Name returns the schema's name as envelopes have it, "Content:1".
func (s Schema) Name() string { return s.ID + ":" + strconv.Itoa(s.Version) }

// IsName reports whether text has the form of a schema's name: an id, a colon, and a version of at least 1.
func IsName(text string) bool {
	id, version, ok := strings.Cut(text, ":")
	n, err := strconv.Atoi(version)
	return ok && id != "" && err == nil && n > 0
}

// Retention returns how long the schema's streams keep their records; 0: the broker's default.
func (s Schema) Retention() time.Duration { return time.Duration(s.RetentionMS) * time.Millisecond }

// Subscription is a declared subscription.
type Subscription struct {
	Patterns []string `json:"patterns"`
	Group    string   `json:"group"`
	// Handler is the name of the function; "" for a function literal.
	Handler string `json:"handler"`
	// DeadLetter reports whether failed records go to the stream <stream>.<group>.dead.
	DeadLetter bool `json:"dead_letter"`
	// RetryMS are the delays in milliseconds of the streams <stream>.<group>.retry.<n>.
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

// Of returns the schemas that are declared for a stream, sorted by version.
func (a *App) Of(stream string) []Schema {
	var all []Schema
	for _, s := range a.Schemas {
		if slices.Contains(s.Streams, stream) {
			all = append(all, s)
		}
	}
	return all
}

// Streams returns the streams that schemas declare, sorted by name.
func (a *App) Streams() []string {
	var all []string
	for _, s := range a.Schemas {
		all = append(all, s.Streams...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Parse decodes the output of a worker's --describe.
func Parse(text []byte) (*App, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("the app printed no description: does its program call worker.Main?")
	}
	app := new(App)
	if err := json.Unmarshal(text, app); err != nil {
		return nil,
			fmt.Errorf("the app's description is not JSON: does its program print to standard output before it calls "+
				"worker.Main? %w", err)
	}
	return app, nil
}
