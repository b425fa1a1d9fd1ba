package kafka

import (
	goflag "flag" // package kafka has a function of that name
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var updateSettings = goflag.Bool("update", false, "write docs/settings.md")

// documented is what docs/settings.md says of a setting and the code does not know: Kafka's own name, and the default
// of aiokafka 0.14 ("": aiokafka does not have the setting).
type documented struct{ name, kafka, aiokafka string }

var documentedSettings = []struct {
	title    string
	settings []documented
}{
	{"The connection", []documented{
		{"client_id", "client.id", "`aiokafka-` and the version"},
		{"request_timeout_ms", "request.timeout.ms", "40000"},
		{"retry_backoff_ms", "retry.backoff.ms", "100"},
		{"metadata_max_age_ms", "metadata.max.age.ms", "300000"},
		{"connections_max_idle_ms", "connections.max.idle.ms", "540000"},
	}},
	{"Security", []documented{
		{"security_protocol", "security.protocol", "`PLAINTEXT`"},
		{"sasl_mechanism", "sasl.mechanism", "`PLAIN`"},
		{"sasl_plain_username", "sasl.jaas.config", "none"},
		{"sasl_plain_password", "sasl.jaas.config", "none"},
		{"ssl_cafile", "ssl.truststore.location", ""},
		{"ssl_certfile", "ssl.keystore.location", ""},
		{"ssl_keyfile", "ssl.keystore.location", ""},
		{"ssl_password", "ssl.key.password", ""},
		{"ssl_check_hostname", "ssl.endpoint.identification.algorithm", ""},
	}},
	{"Publishing", []documented{
		{"acks", "acks", "1"},
		{"enable_idempotence", "enable.idempotence", "false"},
		{"compression_type", "compression.type", "none"},
		{"linger_ms", "linger.ms", "0"},
		{"max_batch_size", "batch.size", "16384"},
		{"max_request_size", "max.request.size", "1048576"},
	}},
	{"Reading", []documented{
		{"fetch_max_wait_ms", "fetch.max.wait.ms", "500"},
		{"fetch_min_bytes", "fetch.min.bytes", "1"},
		{"fetch_max_bytes", "fetch.max.bytes", "52428800"},
		{"max_partition_fetch_bytes", "max.partition.fetch.bytes", "1048576"},
		{"client_rack", "client.rack", "none"},
		{"isolation_level", "isolation.level", "`read_uncommitted`"},
	}},
	{"Groups", []documented{
		{"auto_offset_reset", "auto.offset.reset", "`latest`; `earliest` in Python's kafkaesk"},
		{"auto_commit_interval_ms", "auto.commit.interval.ms", "5000"},
		{"session_timeout_ms", "session.timeout.ms", "10000"},
		{"heartbeat_interval_ms", "heartbeat.interval.ms", "3000"},
		{"rebalance_timeout_ms", "max.poll.interval.ms", "`session_timeout_ms`"},
		{"max_poll_interval_ms", "max.poll.interval.ms", "300000"},
		{"max_poll_records", "max.poll.records", "none"},
		{"group_instance_id", "group.instance.id", "none"},
	}},
}

const settingsHead = `# Settings

` + "`go test ./internal/kafka -run TestSettingsPage -update`" + ` writes this page from the code's own table.

Settings have the names that aiokafka gives them. They are Config.Settings of a program, or a JSON object that
` + "`--kafka-settings`" + ` and KAFKAESK_KAFKA_SETTINGS take, as text or as @ and the name of a file:

` + "```json" + `
{"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
 "sasl_plain_username": "u", "sasl_plain_password": "p"}
` + "```" + `

- Times are whole numbers of milliseconds, sizes are bytes. null is the default.
- An unknown name is an error that names the nearest ones, and so is a value out of its range.
- [operations.md](operations.md#passwords) says where passwords belong. [bus.md](bus.md#connect) shows TLS and
  credentials as Go values.
- The default of aiokafka is that of its version 0.14. A dash: aiokafka has no such setting, as it takes an ssl_context.
`

// TestSettingsPage holds docs/settings.md to the table of settings: names, types, ranges and defaults.
func TestSettingsPage(t *testing.T) {
	t.Parallel()
	page := settingsPage(t)
	file := filepath.Join("..", "..", "docs", "settings.md")
	if *updateSettings {
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile(file); err != nil || string(old) != page {
		t.Errorf("docs/settings.md is not what the code says (%v): run "+
			"go test ./internal/kafka -run TestSettingsPage -update", err)
	}
}

func settingsPage(t *testing.T) string {
	t.Helper()
	table, comments := settingTable(), fieldComments(t)
	var page, refused strings.Builder
	page.WriteString(settingsHead)
	for _, group := range documentedSettings {
		fmt.Fprintf(&page, "\n## %s\n\n| setting | type | default | Kafka | aiokafka's default |\n", group.title)
		page.WriteString("|---|---|---|---|---|\n")
		var notes strings.Builder
		for _, d := range group.settings {
			set := table[d.name]
			if set == nil {
				t.Errorf("documentedSettings has %s, which the code does not have", d.name)
				continue
			}
			delete(table, d.name)
			python := d.aiokafka
			if python == "" {
				python = "-"
			}
			field := fieldOf(t, d.name, set)
			kind := typeOf(set)
			if strings.HasSuffix(d.name, "_bytes") || strings.HasSuffix(d.name, "_size") {
				kind = strings.Replace(kind, "number", "bytes", 1)
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s | `%s` | %s |\n", d.name, kind, defaultOf(field), d.kafka, python)
			notes.WriteString(wrapped("- `" + d.name + "`: " + comments[field]))
		}
		fmt.Fprintf(&page, "\n%s", notes.String())
	}
	const reasons = "\n\n| setting | why |\n|---|---|\n"
	page.WriteString("\n## Accepted and without effect\n\nEach is a warning in the log, which says why." + reasons)
	refused.WriteString("\n## Refused\n\nEach is an error, because its meaning would be lost." + reasons)
	for _, name := range slices.Sorted(maps.Keys(table)) {
		var s Settings
		switch warning, err := table[name](&s, false); {
		case warning != "":
			fmt.Fprintf(&page, "| `%s` | %s |\n", name, strings.TrimPrefix(warning, "ignored: "))
		case err != nil && strings.HasPrefix(err.Error(), "not supported"):
			_, why, _ := strings.Cut(err.Error(), ": ")
			fmt.Fprintf(&refused, "| `%s` | %s |\n", name, why)
		default:
			t.Errorf("documentedSettings lacks %s", name)
		}
	}
	page.WriteString(refused.String())
	return page.String()
}

var (
	rangeOfInt = regexp.MustCompile(`is not between (\d+) and (\d+)( milliseconds)?`)
	oneOfThese = regexp.MustCompile(`"\?" is not one of (.*)`)
	unknownOne = regexp.MustCompile(`unknown compression "\?": use one of (.*)`)
)

// typeOf returns what a setter says that it takes, when it is given something else.
func typeOf(set setter) string {
	said := func(value any) string {
		var s Settings
		_, err := set(&s, value)
		return fmt.Sprint(err)
	}
	if m := rangeOfInt.FindStringSubmatch(said(int64(-1))); m != nil {
		unit := "number"
		if m[3] != "" {
			unit = "ms"
		}
		if m[2] == "2147483647" {
			return fmt.Sprintf("%s, from %s on", unit, m[1])
		}
		return fmt.Sprintf("%s, %s to %s", unit, m[1], m[2])
	}
	for _, names := range []*regexp.Regexp{oneOfThese, unknownOne} {
		if m := names.FindStringSubmatch(said("?")); m != nil {
			return "`" + strings.Join(strings.Split(strings.ReplaceAll(m[1], " or ", ", "), ", "), "`, `") + "`"
		}
	}
	if strings.Contains(said(struct{}{}), "true or false") {
		return "true, false"
	}
	return "text"
}

// fieldOf returns the field of Settings that a setter sets.
func fieldOf(t *testing.T, name string, set setter) string {
	t.Helper()
	before := reflect.ValueOf(Settings{})
	for _, value := range []any{"SSL", "PLAIN", "latest", "read_committed", "gzip", true, int64(1), int64(60_000)} {
		var s Settings
		if _, err := set(&s, value); err != nil {
			continue
		}
		after := reflect.ValueOf(s)
		for i := range after.NumField() {
			if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
				return after.Type().Field(i).Name
			}
		}
	}
	t.Errorf("no value sets %s", name)
	return ""
}

// defaultOf returns the default of a field, as one writes it.
func defaultOf(field string) string {
	switch value := reflect.ValueOf(DefaultSettings()).FieldByName(field).Interface().(type) {
	case time.Duration:
		if value == 0 {
			return "see below"
		}
		return fmt.Sprint(value.Milliseconds())
	case int:
		if value == 0 {
			return "see below"
		}
		return fmt.Sprint(value)
	case int16:
		return "`all`"
	case bool:
		return fmt.Sprint(value)
	case string:
		if field == "ClientID" {
			return "the program's name"
		}
		if value == "" {
			return "none"
		}
		return "`" + value + "`"
	case Secret:
		return "none"
	default:
		return fmt.Sprint(value)
	}
}

var (
	namedSettings = regexp.MustCompile(` ?Settings?: .*`)
	fieldVerb     = regexp.MustCompile(`^(\w+ and )?\w+ (is|are) `)
	plainDefault  = regexp.MustCompile(` Defaults to [^:,;.]*\.`)
)

// fieldComments returns the comment of each field of Settings, without the name of the field and of the setting, and
// without a default that says no more than the table.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "settings.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Settings" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			if !strings.Contains(field.Doc.Text(), "etting") { // TLS and SASL are no settings
				continue
			}
			text := strings.Join(strings.Fields(field.Doc.Text()), " ")
			text = plainDefault.ReplaceAllString(namedSettings.ReplaceAllString(text, ""), "")
			for _, name := range field.Names {
				comments[name.Name] = upperFirst(fieldVerb.ReplaceAllString(text, ""))
			}
		}
		return false
	})
	return comments
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// wrapped returns an item of a list in lines of at most 118 characters.
func wrapped(text string) string {
	var lines strings.Builder
	width := 0
	for i, word := range strings.Fields(text) {
		switch n := len(word); {
		case i == 0:
			width = n
		case width+1+n > 118:
			lines.WriteString("\n  ")
			width = 2 + n
		default:
			lines.WriteByte(' ')
			width += 1 + n
		}
		lines.WriteString(word)
	}
	return lines.String() + "\n"
}
