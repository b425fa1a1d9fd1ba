package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
	"github.com/kafkaesk/kafkaesk/internal/appinfo"
	"github.com/kafkaesk/kafkaesk/internal/envelope"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/internal/schema"
)

// publish holds the flags of the command.
type publish struct {
	app
	streams    cli.Streams
	name, file string // the schema's name, and the file with its JSON Schema
	target     string
	key        string
	hasKey     bool
	headers    []string

	form    form
	stream  string
	sending *bus.App
	counts  struct{ published, invalid, failed int }
}

// form converts lines to values of records.
type form struct {
	head   []byte         // start of the envelope, up to the data; nil: each line is an envelope
	schema *schema.Schema // schema of the data; nil: any JSON
	// declared is the App's declaration for the stream's topic; nil without --app.
	declared *appinfo.Schema
}

func newPublish(s cli.Streams, apps Apps) *cobra.Command {
	p := &publish{app: app{apps: apps}, streams: s}
	cmd := &cobra.Command{
		Use:   "publish STREAM",
		Short: "Publish JSON documents from standard input, one on each line",
		Long: "publish publishes the JSON documents on standard input, one on each line, to a stream.\n\n" +
			"With --schema Content:1 each is the data of that schema. Data is checked only with --schema-file, by a JSON " +
			"Schema, or with --app,\nby the schema that an app declares, which need not be named where the app has one for " +
			"the stream. Without --schema and --app\neach line is a whole envelope, " +
			"{\"schema\":\"Content:1\",\"data\":{...}}.\n\nA line that is invalid, or refused by the brokers, is reported " +
			"with its number and not published; the others are, in their order.\nEmpty lines are passed over. A stream that " +
			"does not exist is created.\n\nExit codes: 0 all lines are published, 1 some are not, 2 the command line is " +
			"wrong, 3 no broker could be reached.",
		Example: "  echo '{\"title\":\"a\"}' | kafkaesk publish content.edited --schema Content:1 --key a\n" +
			"  kafkaesk publish orders.new --app ./orders:App < orders.jsonl",
		Args: cli.Exactly(1),
	}
	connection := cli.Connect(cmd, s)
	flags := cmd.Flags()
	flags.StringVar(&p.name, "schema", "", "the `NAME:VERSION` of the schema of each line")
	flags.StringVar(&p.file, "schema-file", "", "check the data by the JSON Schema in a `FILE`")
	flags.StringVar(&p.target, "app", "", "check the data by the schema that the `./pkg:App` declares")
	flags.StringVar(&p.key, "key", "", "the `KEY` of all records, which keeps them in order")
	flags.StringArrayVar(&p.headers, "header", nil, "a header of all records, `NAME=VALUE`; may be repeated")
	p.addTags(cmd)
	cmd.ValidArgsFunction = connection.CompleteStreams
	_ = cmd.RegisterFlagCompletionFunc("app", apps.Complete)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.stream, p.hasKey = args[0], flags.Changed("key")
		if err := p.prepare(cmd); err != nil {
			return err
		}
		return connection.App(cmd.Context(), p.run)
	}
	return cmd
}

// prepare validates the flags, and determines the form of the lines.
func (p *publish) prepare(cmd *cobra.Command) error {
	if p.file != "" && p.target != "" {
		return cli.UsageErrorf("--schema-file and --app both set the schema of the data: give one of them")
	}
	if p.file != "" && p.name == "" {
		return cli.UsageErrorf("--schema-file needs --schema NAME:VERSION, which is part of every record")
	}
	if p.name != "" && !appinfo.IsName(p.name) {
		return cli.UsageErrorf("--schema %q: want NAME:VERSION, like Content:1", p.name)
	}
	for _, h := range p.headers {
		if name, _, ok := strings.Cut(h, "="); !ok || name == "" {
			return cli.UsageErrorf("--header %q: want NAME=VALUE", h)
		}
	}
	var err error
	switch {
	case p.target != "":
		err = p.ofApp(cmd)
	case p.file != "":
		var text []byte
		if text, err = document(p.streams, p.file); err == nil {
			p.form.schema, err = schema.FromJSON(nil, text)
		}
	}
	if err != nil || p.name == "" {
		return err
	}
	p.form.head, err = envelopeHead(p.name)
	return err
}

// ofApp uses the schema of an App.
func (p *publish) ofApp(cmd *cobra.Command) error {
	info, err := p.describe(cmd.Context(), p.target)
	if err != nil {
		return err
	}
	if err := connectAs(cmd, p.streams, info); err != nil {
		return err
	}
	declared := info.Of(p.stream)
	if p.name == "" {
		if len(declared) != 1 {
			return cli.UsageErrorf("the app declares %d schemas for the stream %s: name one by --schema",
				len(declared), p.stream)
		}
		p.name = declared[0].Name()
	}
	chosen, ok := info.Schema(p.name)
	if !ok {
		return cli.UsageError(noSchema(info, p.name))
	}
	if len(declared) > 0 && declared[0].ID != chosen.ID {
		return cli.UsageErrorf("the stream %s carries %s by the app, and not %s", p.stream, declared[0].Name(), p.name)
	}
	p.form.declared = &chosen
	p.form.schema, err = schema.FromJSON(nil, chosen.JSONSchema)
	return err
}

func envelopeHead(name string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(name); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"schema":%s,"data":`, bytes.TrimSpace(b.Bytes())), nil
}

// value converts a line to the value of a record. The result is readable for every subscription: encoding/json also
// accepts keys in other case and invalid UTF-8, which subscriptions refuse.
func (f *form) value(line []byte) ([]byte, error) {
	if !json.Valid(line) {
		var v any
		return nil, fmt.Errorf("not a JSON document: %w", json.Unmarshal(line, &v))
	}
	value := line
	if f.head != nil {
		if f.schema != nil {
			if err := f.schema.Check(line); err != nil {
				return nil, err
			}
		}
		value = append(append(slices.Clone(f.head), line...), '}')
	}
	switch e, err := envelope.Parse(value); {
	case f.head == nil && (err != nil || e.Data == nil || !appinfo.IsName(string(e.Schema))):
		return nil, errors.Join(errNoEnvelope, err)
	case err != nil:
		return nil, fmt.Errorf("no subscription could read it: %w", err)
	}
	return value, nil
}

var errNoEnvelope = errors.New(`not an envelope like {"schema":"Content:1","data":{...}}: --schema makes one of ` +
	`each line`)

// Limits of a batch of lines that were read already: larger batches gain nothing.
const (
	batchRecords = 1000
	batchBytes   = 1 << 20
)

// run publishes the lines of standard input, and prints a summary, even when it is interrupted.
func (p *publish) run(ctx context.Context, sending *bus.App) error {
	p.sending = sending
	if err := p.declare(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := readLines(ctx, p.streams.In)
	for {
		batch, ended, err := p.next(ctx, lines)
		p.publish(ctx, batch)
		if err == nil && !ended {
			continue
		}
		p.summary()
		if err == nil && p.counts.invalid+p.counts.failed > 0 {
			return cli.Exit(cli.Failed)
		}
		return err
	}
}

// declare makes the App create a missing topic as declared.
func (p *publish) declare() error {
	s := p.form.declared
	if s == nil {
		return nil
	}
	opts := []bus.SchemaOption{bus.Version(s.Version), bus.SchemaJSON(s.JSONSchema), bus.Streams(p.stream),
		bus.Retention(s.Retention())}
	if s.Partitions > 0 {
		opts = append(opts, bus.Partitions(s.Partitions))
	}
	for name, value := range s.TopicConfigs {
		opts = append(opts, bus.TopicConfig(name, value))
	}
	return bus.Schema[any](p.sending, s.ID, opts...)
}

// numbered is a record with its line number.
type numbered struct {
	number int
	record bus.Outgoing
}

// next waits for a line, and also returns the lines behind it that were read already.
func (p *publish) next(ctx context.Context, lines <-chan line) (batch []numbered, ended bool, err error) {
	size := 0
	for len(batch) < batchRecords && size < batchBytes {
		var l line
		var ok bool
		if len(batch) == 0 {
			select {
			case l, ok = <-lines:
			case <-ctx.Done():
				return nil, false, context.Cause(ctx)
			}
		} else {
			select {
			case l, ok = <-lines:
			default:
				return batch, false, nil
			}
		}
		switch {
		case !ok:
			return batch, true, nil
		case l.err != nil && l.number == 0:
			return batch, true, fmt.Errorf("reading standard input: %w", l.err)
		case l.err != nil:
			p.invalid(l.number, l.err)
			continue
		}
		value, err := p.form.value(l.text)
		if err != nil {
			p.invalid(l.number, err)
			continue
		}
		batch = append(batch, numbered{l.number, p.record(value)})
		size += len(value)
	}
	return batch, false, nil
}

func (p *publish) record(value []byte) bus.Outgoing {
	r := bus.Outgoing{Value: value}
	if p.hasKey {
		r.Key = []byte(p.key)
	}
	for _, h := range p.headers {
		name, text, _ := strings.Cut(h, "=")
		r.Headers = append(r.Headers, bus.Header{Name: name, Value: []byte(text)})
	}
	return r
}

// publish publishes a batch, and reports each record that failed.
func (p *publish) publish(ctx context.Context, batch []numbered) {
	if len(batch) == 0 {
		return
	}
	records := make([]bus.Outgoing, len(batch))
	for i, n := range batch {
		records[i] = n.record
	}
	_ = p.sending.PublishBatch(ctx, p.stream, records) // each record has its error
	for i, r := range records {
		if r.Err != nil {
			p.counts.failed++
			p.complain(batch[i].number, r.Err)
		} else {
			p.counts.published++
		}
	}
}

func (p *publish) invalid(number int, err error) {
	p.counts.invalid++
	p.complain(number, err)
}

func (p *publish) complain(number int, err error) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	fmt.Fprintf(logtext.Writer{W: p.streams.Err}, "kafkaesk: line %d: %s\n", number, text)
}

// summary prints the number of records by result.
func (p *publish) summary() {
	c := p.counts
	fmt.Fprintf(p.streams.Err, "kafkaesk: %d published", c.published)
	if c.invalid > 0 {
		fmt.Fprintf(p.streams.Err, ", %d invalid", c.invalid)
	}
	if c.failed > 0 {
		fmt.Fprintf(p.streams.Err, ", %d failed", c.failed)
	}
	fmt.Fprintln(p.streams.Err)
}
