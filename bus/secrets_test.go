package bus_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// secretCanary is a password. Whatever is printed is searched for it, as it is and as other bases write it.
const secretCanary = "c4nary-s3cret"

// inside holds a value in an unexported field, where fmt calls no method.
type inside struct{ value any }

// printed returns v in every way that fmt, encoding/json, encoding/xml, encoding/gob and slog know. An encoder may refuse: its error is printed.
func printed(v any) map[string]string {
	out := make(map[string]string)
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "T", "p", "t", "#x", "# x", "U", "08b", "o"} {
		out["%"+verb] = fmt.Sprintf("%"+verb, v)
		out["%"+verb+" inside"] = fmt.Sprintf("%"+verb, inside{v})
		out["%"+verb+" of a pointer to inside"] = fmt.Sprintf("%"+verb, &inside{v})
	}
	asJSON, err := json.Marshal(v)
	out["json"] = fmt.Sprint(string(asJSON), err)
	asXML, err := xml.Marshal(v)
	out["xml"] = fmt.Sprint(string(asXML), err)
	var asGob bytes.Buffer
	err = gob.NewEncoder(&asGob).Encode(v)
	out["gob"] = fmt.Sprint(asGob.String(), err)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("m", "value", v, "inside", inside{v}, "group", slog.GroupValue(slog.Any("member", v)))
		out[name] = b.String()
	}
	return out
}

// checkPrinted fails when a secret is in what is printed of v.
func checkPrinted(t *testing.T, name string, v any) {
	t.Helper()
	forms := []string{secretCanary, fmt.Sprintf("%x", secretCanary), fmt.Sprintf("%X", secretCanary), fmt.Sprintf("% x", secretCanary),
		fmt.Sprintf("%d", []byte(secretCanary)), base64.StdEncoding.EncodeToString([]byte(secretCanary))}
	for how, text := range printed(v) {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s: %s prints the secret: %s", name, how, text)
				break
			}
		}
	}
}

// No password comes out of what the package exports, however it is printed, nor out of an error or the log.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	settings := `{"security_protocol":"SASL_SSL","sasl_plain_username":"user","sasl_plain_password":"` + secretCanary + `","ssl_password":"` + secretCanary + `"}`
	parsed, err := bus.ParseSettings(settings)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	config := bus.Config{Servers: []string{"127.0.0.1:1"}, Settings: parsed, SASL: nil, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	secured := config
	secured.Settings, secured.SASL = nil, bus.SASLPassword("PLAIN", "user", secretCanary)
	literal := bus.Settings{"security_protocol": "SASL_PLAINTEXT", "sasl_plain_username": "user", "sasl_plain_password": secretCanary}
	ofLiteral := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Settings: literal, Logger: config.Logger})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	initialize := ofLiteral.Initialize(ctx)
	if initialize == nil {
		t.Fatal("connected to nothing")
	}
	values := map[string]any{
		"Settings": parsed, "*Settings": &parsed, "Config": config, "*Config": &config, "Config with SASL": secured, "SASL": secured.SASL, "SASL value": *secured.SASL,
		"App": bus.New(config), "App of a literal map": ofLiteral, "App with SASL": bus.New(secured), "Stats": ofLiteral.Stats(),
		"credentials": bus.SASLCredentials("PLAIN", func(context.Context) (string, string, error) { return "user", secretCanary, nil }),
		"tokens":      bus.SASLOAuthBearer(func(context.Context) (bus.Token, error) { return bus.Token{Value: secretCanary}, nil }),
		"an error":    initialize,
	}
	for i, wrong := range []string{settings[:len(settings)-1], `"` + secretCanary + `"`, `{"sasl_plain_password":{"a":"` + secretCanary + `"}}`,
		`{"sasl_plain_password":["` + secretCanary + `"]}`, `{"sasl_pasword":"` + secretCanary + `"}`, `{"linger_ms":"` + secretCanary + `"}`} {
		_, err := bus.ParseSettings(wrong)
		if err == nil {
			t.Errorf("%s is taken", wrong)
		}
		values[fmt.Sprintf("error %d of ParseSettings", i)] = err
	}
	for name, v := range values {
		checkPrinted(t, name, v)
	}
	// At the top, and in exported fields, these print nothing either; an unexported field is what their documentation warns of.
	token := bus.Token{Value: secretCanary}
	for how, text := range printed(struct{ Exported any }{[]any{literal, token, &token}}) {
		// %p is no verb of a struct, and fmt then prints its memory.
		if !strings.Contains(how, "inside") && how != "%p" && !strings.HasPrefix(how, "slog") && strings.Contains(text, secretCanary) {
			t.Errorf("%s prints the secret: %s", how, text)
		}
	}
	if s, _, err := kafka.ParseSettings(parsed); err != nil || s.SASLPassword.Reveal() != secretCanary || s.KeyPassword.Reveal() != secretCanary {
		t.Errorf("the secret is gone: %v", err)
	}
	if literal["sasl_plain_password"] != secretCanary {
		t.Error("the caller's map was changed")
	}
	if strings.Contains(log.String(), secretCanary) {
		t.Errorf("the log has the secret: %s", &log)
	}
	if err := ofLiteral.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
