package asyncapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/appinfo"
)

// validator is the JSON Schema of AsyncAPI 3.0.0, as github.com/asyncapi/spec-json-schemas has it (Apache License 2.0).
func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	packed, err := os.Open(filepath.Join("testdata", "asyncapi-3.0.0.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	text, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("asyncapi.json", text); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDocument(t *testing.T) {
	t.Parallel()
	app := &appinfo.App{
		Servers: []string{"localhost:9092"}, TopicPrefix: "shop.", SecurityProtocol: "SASL_SSL",
		Schemas: []appinfo.Schema{
			{ID: "Content", Version: 1, Streams: []string{"content.edited"}, RetentionMS: 5000, JSONSchema: json.RawMessage(
				`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"x","$defs":{"N":{"type":"object","properties":{` +
					`"$ref":{"type":"string"},"next":{"$ref":"#/$defs/N"}}}},"properties":{"n":{"$ref":"#/$defs/N"},"any":true,` +
					`"self":{"$ref":"#"},"c":{"const":{"$ref":"kept"}}},"type":"object","required":["n"]}`)},
			{ID: "Content", Version: 2, Streams: []string{"content.edited", "content.made"}, Partitions: 3,
				TopicConfigs: map[string]string{"cleanup.policy": "compact,delete", "max.message.bytes": "1000", "x": "y"},
				JSONSchema:   json.RawMessage(`true`)},
			{ID: "Strange name/é", Version: 1, Streams: nil, JSONSchema: json.RawMessage(`{"type":["string","null"]}`)},
			{ID: "Strange name/ü", Version: 1, Streams: nil, JSONSchema: json.RawMessage(`{}`)},
		},
		Subscriptions: []appinfo.Subscription{
			{Patterns: []string{"content.*", "others"}, Group: "index"}, {Patterns: []string{"logs.*"}, Group: "strange group"},
		},
	}
	doc, err := New(app, Info{Title: "shop", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var any any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&any); err != nil {
		t.Fatal(err)
	}
	if err := validator(t).Validate(any); err != nil {
		t.Errorf("%#v\n%s", err, text)
	}
	for _, want := range []string{
		`"address":"shop.content.edited"`, `"address":"shop.others"`, `"address":null`, `"action":"receive"`,
		`"send.content.made":{"action":"send","channel":{"$ref":"#/channels/content.made"},"messages":[{` +
			`"$ref":"#/channels/content.made/messages/Content.2"}]}`,
		`"receive.index.content.made"`, `"receive.strange.group.logs.."`,
		`"next":{"$ref":"#/components/schemas/Content.1.N"}`, `"self":{"$ref":"#/components/schemas/Content.1"}`,
		`"c":{"const":{"$ref":"kept"}}`, `"properties":{"$ref":{"type":"string"}`,
		`"Strange.name...1"`, `"Strange.name...1-2"`, `"protocol":"kafka-secure"`,
		`"cleanup.policy":["compact","delete"],"max.message.bytes":1000,"x":"y"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
	references(t, any, any)
}

// references checks that every reference of the document leads somewhere in it.
func references(t *testing.T, root, at any) {
	t.Helper()
	switch at := at.(type) {
	case map[string]any:
		if target, ok := at["$ref"].(string); ok && strings.HasPrefix(target, "#/") {
			found := root
			for name := range strings.SplitSeq(strings.TrimPrefix(target, "#/"), "/") {
				object, _ := found.(map[string]any)
				found = object[name]
			}
			if found == nil {
				t.Errorf("%s leads nowhere", target)
			}
		}
		for _, member := range at {
			references(t, root, member)
		}
	case []any:
		for _, member := range at {
			references(t, root, member)
		}
	}
}

// The validator refuses what is no AsyncAPI document, so that the test above shows something.
func TestTheValidatorBites(t *testing.T) {
	t.Parallel()
	s := validator(t)
	for _, text := range []string{
		`{"asyncapi":"3.0.0"}`, `{"asyncapi":"3.0.0","info":{"title":"t","version":"1"},"operations":{"x":{` +
			`"action":"throw"}}}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("%s is valid", text)
		}
	}
}
