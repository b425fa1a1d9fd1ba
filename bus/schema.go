package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/schema"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// SchemaInfo describes a declared schema.
type SchemaInfo struct {
	// ID and Version are the two parts of the schema's name, "Content:1".
	ID      string
	Version int
	// Retention is how long its streams keep their records (retention.ms). Zero means the broker's default.
	Retention time.Duration
	// Partitions is how many partitions its streams get when they are created. Zero means 7.
	Partitions int
	// TopicConfigs are further settings of its streams' topics, by Kafka's names. Nil means none.
	TopicConfigs map[string]string
	// Streams are those it was declared with.
	Streams []string
	// JSON is the JSON Schema that data is validated with.
	JSON []byte
}

// SchemaOption is an option of [Schema]. A nil one changes nothing.
type SchemaOption func(*declaration)

// Version sets the schema's version. Defaults to 1.
func Version(version int) SchemaOption { return func(d *declaration) { d.version = version } }

// Retention sets how long the schema's streams keep their records (retention.ms). It applies to topics that the App
// creates; an existing topic is never altered. Defaults to the broker's configuration.
func Retention(r time.Duration) SchemaOption { return func(d *declaration) { d.retention = r } }

// Partitions sets how many partitions the topics of the schema's streams get (num.partitions). It applies to topics
// that the App creates; an existing topic is never altered. Defaults to 7.
func Partitions(n int) SchemaOption { return func(d *declaration) { d.partitions = &n } }

// TopicConfig sets a configuration of the topics of the schema's streams, by Kafka's name: "cleanup.policy" to
// "compact", for example. It applies to topics that the App creates. The brokers check it then: [App.Initialize], or
// the first publish, returns what they refuse. It may be given once for each name. When several versions of a schema
// share a stream, the options of the version that was declared first count.
func TopicConfig(name, value string) SchemaOption {
	return func(d *declaration) { d.configs = append(d.configs, topicConfig{name, value}) }
}

// topicConfig is what TopicConfig was given.
type topicConfig struct{ name, value string }

// Streams declares the streams that carry the schema. They are created by [App.Initialize].
func Streams(names ...string) SchemaOption {
	return func(d *declaration) { d.streams = append(d.streams, names...) }
}

// SchemaJSON supplies the JSON Schema, instead of making it from the Go type. A document is refused when it refers to
// other documents, when it is empty, and when it has a keyword that is nearly one of JSON Schema's, such as
// "maxLenght", because that would check nothing. Other unknown keywords are taken as the document's own.
func SchemaJSON(document []byte) SchemaOption {
	return func(d *declaration) { d.document = append([]byte{}, document...) }
}

// declaration is one schema as it was declared.
type declaration struct {
	id        string
	version   int
	retention time.Duration
	// partitions and configs are those of the topics that are created; nil: the defaults.
	partitions *int
	configs    []topicConfig
	streams    []string
	document   []byte
	typ        reflect.Type
	schema     *schema.Schema
	head       []byte // of every envelope, up to the data
}

func (d *declaration) name() string { return d.id + ":" + strconv.Itoa(d.version) }

// Schema declares that values of type T are published as the schema id, such as "Content", with a JSON Schema that is
// made from T. An empty id means the type's name. It returns a *[SchemaConflictError] when the same id and version,
// or T itself, is declared already, or when one of the streams carries another id.
//
// For data that is JSON and no Go struct, declare a map with a name, such as type Doc map[string]any, with
// [SchemaJSON].
//
// T may be an interface type, such as any, when SchemaJSON supplies the schema. Such a type may be declared many
// times, once for each id. Its values are published with [App.PublishRaw] or [App.PublishBatch].
//
// The constraints of a field are in its jsonschema tag, in the form of invopop/jsonschema:
//
//	type Content struct {
//		Title string   `json:"title" jsonschema:"minLength=1,maxLength=200"`
//		Tags  []string `json:"tags,omitempty" jsonschema:"maxItems=20"`
//		Range string   `json:"range" jsonschema:"pattern=^[0-9]+\\,[0-9]+$"` // a comma inside a value is written \\,
//	}
//
// A tag that has a part without effect is an error, which names the field and the nearest keyword: a misspelt
// keyword, a keyword that the field's type cannot have, an invalid value, a value that a comma has cut, a space
// before a keyword, an unknown format. For constraints that a tag cannot express, the type has a method
// JSONSchemaExtend(*jsonschema.Schema), or SchemaJSON supplies the schema.
func Schema[T any](r Registrar, id string, opts ...SchemaOption) error {
	t := reflect.TypeFor[T]()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	d := &declaration{id: id, version: 1, typ: t}
	apply(d, opts)
	if d.id == "" {
		d.id = typeName(t)
	}
	if err := d.compile(); err != nil {
		return fmt.Errorf("bus: schema %q of %v: %w", d.id, t, err)
	}
	if err := checkRegistrar(r); err != nil {
		return fmt.Errorf("bus: schema %q of %v: %w", d.id, t, err)
	}
	if err := r.declare(d); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	return nil
}

// MustSchema is [Schema] for the start of a program: it panics on an error.
func MustSchema[T any](r Registrar, id string, opts ...SchemaOption) {
	if err := Schema[T](r, id, opts...); err != nil {
		panic(err)
	}
}

// typeName returns the name of t without the type arguments that a generic type carries in it.
func typeName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

func (d *declaration) compile() (err error) {
	switch {
	case d.id == "":
		return errors.New("the type has no name to take for an id: give one, as in bus.Schema[T](app, \"Doc\")")
	case strings.Contains(d.id, ":"):
		return errors.New("an id has no colon: the version is given by Version")
	case d.version < 1:
		return fmt.Errorf("version %d: versions count from 1", d.version)
	case d.typ.Kind() == reflect.Interface && d.document == nil:
		return errors.New("an interface has no schema of its own: supply one with SchemaJSON")
	}
	for _, stream := range d.streams {
		if err := streams.CheckName(stream); err != nil {
			return err
		}
	}
	if err := d.checkTopics(); err != nil {
		return err
	}
	switch {
	case d.document != nil && len(d.document) == 0:
		return errors.New("SchemaJSON has an empty document: has it been read?")
	case d.document != nil:
		d.schema, err = schema.FromJSON(d.typ, d.document)
	default:
		d.schema, err = schema.For(d.typ)
	}
	if err != nil {
		return err
	}
	d.head, err = envelopeHead(d.name())
	return err
}

// checkTopics returns what is wrong with the options about topics, as far as that can be known without a broker.
func (d *declaration) checkTopics() error {
	switch {
	case d.retention < 0:
		return fmt.Errorf("retention %v: it is a time from now", d.retention)
	case d.partitions != nil && (*d.partitions < 1 || *d.partitions > math.MaxInt32):
		return fmt.Errorf("partitions %d: a topic has at least one", *d.partitions)
	}
	for i, c := range d.configs {
		switch {
		case c.name == "":
			return errors.New("a topic's configuration needs a name, as Kafka has it: cleanup.policy, say")
		case slices.ContainsFunc(d.configs[:i], func(other topicConfig) bool { return other.name == c.name }):
			return fmt.Errorf("the topic's configuration %s is given twice", c.name)
		case c.name == "retention.ms" && d.retention > 0:
			return errors.New("Retention and TopicConfig(\"retention.ms\", ...) are one setting: give one of them")
		}
	}
	return nil
}

// topicConfigs returns what TopicConfig was given; nil without any.
func (d *declaration) topicConfigs() map[string]string {
	if len(d.configs) == 0 {
		return nil
	}
	configs := make(map[string]string, len(d.configs))
	for _, c := range d.configs {
		configs[c.name] = c.value
	}
	return configs
}

// topicPartitions returns what Partitions was given; 0 without it.
func (d *declaration) topicPartitions() int {
	if d.partitions == nil {
		return 0
	}
	return *d.partitions
}

// envelopeHead returns the start of an envelope, up to its data.
func envelopeHead(name string) ([]byte, error) {
	var b strings.Builder
	b.WriteString(`{"schema":`)
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(name); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n") + `,"data":`), nil
}

// Schemas lists the declared schemas by id and version.
func (a *App) Schemas() []SchemaInfo {
	if a == nil {
		return nil
	}
	return a.schemas.list()
}

func (a *App) declare(d *declaration) error {
	if a == nil { // in a struct that embeds one, which checkRegistrar cannot see
		return errNilApp
	}
	return a.schemas.add(d)
}

// registry holds an App's schemas and what its streams carry.
type registry struct {
	mu     *sync.RWMutex
	types  map[reflect.Type]*declaration
	names  map[string]*declaration
	stream map[string]*carried
}

// carried is what a stream carries: the first schema that was declared for it or published to it.
type carried struct {
	first *declaration
	// pending counts the first publishes to the stream that have no outcome yet. They bind it for as long as they
	// last, and for good when one of them succeeds: a publish that is refused leaves nothing behind.
	pending int
	bound   bool
}

func newRegistry() registry {
	return registry{
		mu:     new(sync.RWMutex),
		types:  make(map[reflect.Type]*declaration),
		names:  make(map[string]*declaration),
		stream: make(map[string]*carried),
	}
}

// add adds declarations: all, or none and an error.
func (r *registry) add(declarations ...*declaration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, d := range declarations {
		for _, other := range declarations[:i] {
			if err := clash(other, d); err != nil {
				return err
			}
		}
		for _, other := range r.names {
			if err := clash(other, d); err != nil {
				return err
			}
		}
		for _, stream := range d.streams {
			if err := conflict(r.stream[stream], d, stream); err != nil {
				return err
			}
		}
	}
	for _, d := range declarations {
		r.names[d.name()] = d
		if d.byType() {
			r.types[d.typ] = d
		}
		for _, stream := range d.streams {
			c := r.stream[stream]
			if c == nil {
				c = &carried{first: d}
				r.stream[stream] = c
			}
			c.bound = true
		}
	}
	return nil
}

// byType reports whether values of the declaration's type are published as it: no value has an interface's type.
func (d *declaration) byType() bool { return d.typ.Kind() != reflect.Interface }

// clash reports whether two declarations can stand side by side.
func clash(first, d *declaration) error {
	switch {
	case first.name() == d.name():
		return &SchemaConflictError{Schema: d.name(), Reason: fmt.Sprintf("is declared for %v already", first.typ)}
	case d.byType() && first.typ == d.typ:
		return &SchemaConflictError{Schema: d.name(), Reason: fmt.Sprintf("%v is declared as %s already", d.typ,
			first.name())}
	}
	for _, stream := range d.streams {
		if slices.Contains(first.streams, stream) {
			if err := conflict(&carried{first: first}, d, stream); err != nil {
				return err
			}
		}
	}
	return nil
}

// of returns the schema of values of type t, after a check that stream may carry it.
func (r *registry) of(t reflect.Type, stream string) (*declaration, error) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	d := r.types[t]
	if d == nil {
		return nil, undeclared(t)
	}
	return d, conflict(r.stream[stream], d, stream)
}

// boundUntil is called with the outcome of a publish that binds its stream as long as it lasts.
type boundUntil func(error)

// Resolved makes it the observer of the publish.
func (f boundUntil) Resolved(err error) { f(err) }

// undeclared says what to do about a value of a type without a schema.
func undeclared(t reflect.Type) error {
	switch {
	case t == nil:
		return errors.New("nil has no schema, because it has no type: publish a value of a type that is declared with " +
			"bus.Schema; a record without a value, which deletes a key of a compacted topic, is sent by PublishRaw with a nil " +
			"value")
	case typeName(t) == "":
		return fmt.Errorf("%v has no schema: declare it, with an id because the type has no name, by bus.Schema[%v](app, "+
			"\"Doc\"), or send ready bytes with PublishRaw", t, t)
	}
	return fmt.Errorf("%v has no schema: declare it with bus.Schema[%v](app, \"\"), or send ready bytes with PublishRaw",
		t, t)
}

// bind makes stream carry d as long as a publish to it lasts, and for good when that succeeds. It returns the
// function that has to be called with the outcome of the publish; nil when the stream is bound for good already.
func (r *registry) bind(stream string, d *declaration) (boundUntil, error) {
	r.mu.RLock()
	c := r.stream[stream]
	bound := c != nil && c.bound
	r.mu.RUnlock()
	if bound {
		return nil, conflict(c, d, stream)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c = r.stream[stream]; c == nil {
		c = &carried{first: d}
		r.stream[stream] = c
	}
	if err := conflict(c, d, stream); err != nil {
		return nil, err
	}
	c.pending++
	return func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		c.pending--
		c.bound = c.bound || err == nil || errors.Is(err, ErrUnacknowledged)
		if c.pending == 0 && !c.bound {
			delete(r.stream, stream)
		}
	}, nil
}

// conflict reports whether a stream that carries c, if anything, may carry d too: versions of one id may follow each
// other.
func conflict(c *carried, d *declaration, stream string) error {
	if c == nil || c.first.id == d.id {
		return nil
	}
	reason := "the stream carries " + c.first.name() + ", and a stream carries one id"
	return &SchemaConflictError{Schema: d.name(), Stream: stream, Reason: reason}
}

// topic sets in spec what the schema of a stream says of the topics that are created for it.
func (r *registry) topic(stream string, spec kafka.TopicSpec) kafka.TopicSpec {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.stream[stream]; c != nil {
		d := c.first
		spec.Partitions, spec.Retention, spec.Configs = d.topicPartitions(), d.retention, d.topicConfigs()
	}
	return spec
}

// streams returns the streams that schemas were declared with.
func (r *registry) streams() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []string
	for _, d := range r.names {
		all = append(all, d.streams...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// each calls f with every stream that is known to carry a schema.
func (r *registry) each(f func(stream string, d *declaration)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for stream, c := range r.stream {
		f(stream, c.first)
	}
}

func (r *registry) list() []SchemaInfo {
	r.mu.RLock()
	defer r.mu.RUnlock()
	infos := make([]SchemaInfo, 0, len(r.names))
	for _, d := range r.names {
		infos = append(infos, SchemaInfo{
			ID: d.id, Version: d.version, Retention: d.retention, Partitions: d.topicPartitions(),
			TopicConfigs: d.topicConfigs(),
			Streams:      slices.Clone(d.streams), JSON: slices.Clone(d.schema.JSON()),
		})
	}
	slices.SortFunc(infos, func(a, b SchemaInfo) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return a.Version - b.Version
	})
	return infos
}
