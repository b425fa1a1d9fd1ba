package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kafkaesk/kafkaesk"

// pkg is what `go list -json` says of a package of the module.
type pkg struct {
	ImportPath   string
	Imports      []string // of its code
	TestImports  []string // of its tests, in the package
	XTestImports []string // of its tests, outside
}

// rule is one arrow that must not be. Patterns end in "/..." when they mean what is below, too; from and except are
// relative to the module.
type rule struct {
	name    string
	from    []string // the packages it binds
	except  []string // those among them that may
	imports []string // what they must not import
	tests   bool     // it binds their tests as well
}

var rules = []rule{
	{name: "kafka-go stays in internal/kafka", from: []string{"..."}, except: []string{"internal/kafka/..."},
		imports: []string{"github.com/segmentio/kafka-go/..."}, tests: true},
	{name: "franz-go and kfake are the development broker and test kits", from: []string{"..."},
		except: []string{"internal/devkafka", "internal/kafkatest/..."}, imports: []string{"github.com/twmb/franz-go/..."}},
	{name: "the development broker is for development", from: []string{"..."},
		except:  []string{"cmd/kafkaesk", "bus/bustest", "internal/kafkatest"},
		imports: []string{module + "/internal/devkafka"}},
	{name: "cobra stays under cmd", from: []string{"..."}, except: []string{"cmd/..."},
		imports: []string{"github.com/spf13/cobra/..."}, tests: true},
	{name: "Prometheus stays in bus/monitor", from: []string{"..."}, except: []string{"bus/monitor"},
		imports: []string{"github.com/prometheus/..."}, tests: true},
	{name: "testcontainers stays in internal/kafkatest", from: []string{"..."}, except: []string{"internal/kafkatest"},
		imports: []string{"github.com/testcontainers/..."}, tests: true},
	{name: "logrecord knows no Kafka", from: []string{"logrecord/..."}, imports: []string{module + "/bus/...",
		module + "/slogkafka/...", module + "/internal/kafka/..."}},
	{name: "the bus does not know what logs through it", from: []string{"bus/..."},
		except:  []string{"bus/monitor", "bus/worker"},
		imports: []string{module + "/slogkafka/...", module + "/logrecord/..."}},
	{name: "the bus does not know what runs it", from: []string{"bus"}, imports: []string{module + "/bus/..."}},
	{name: "the bus has no HTTP server and no flags", from: []string{"bus", "slogkafka", "logrecord",
		"internal/kafka/..."}, imports: []string{"net/http", "flag"}},
	{name: "internal knows nothing above it", from: []string{"internal/..."},
		imports: []string{module, module + "/bus/...", module + "/slogkafka/...", module + "/logrecord/...",
			module + "/cmd/...", module + "/examples/..."}},
	{name: "lanes, envelopes, JSON and patterns know no Kafka", from: []string{"internal/lanes", "internal/envelope",
		"internal/fnmatch", "internal/jsonscan"},
		imports: []string{module + "/..."}},
	{name: "what pages share knows no Kafka", from: []string{"internal/webpage"}, imports: []string{module + "/..."}},
	{name: "text for people knows no Kafka", from: []string{"internal/logtext"},
		imports: []string{module + "/internal/kafka/..."}},
	{name: "the assignors know no protocol", from: []string{"internal/kafka/group/assign"},
		imports: []string{"github.com/segmentio/kafka-go/...", module + "/internal/kafka"}},
	{name: "the group knows neither records nor lanes", from: []string{"internal/kafka/group/..."},
		imports: []string{module + "/internal/kafka/fetch", module + "/internal/kafka/produce",
			module + "/internal/kafka/consume", module + "/internal/lanes"}},
	{name: "libraries carry no test kit", from: []string{"bus/...", "slogkafka/...", "logrecord/...", "internal/kafka/...",
		"internal/schema/...", "internal/jsonplan", "internal/rawjson", "internal/fnmatch/...", "internal/lanes",
		"internal/envelope", "internal/spool", "cmd/..."},
		except: []string{"bus/bustest/...", "slogkafka/slogkafkatest", "cmd/internal/cmdtest"},
		imports: []string{"testing", module + "/internal/kafkatest/...", module + "/internal/testkit/...",
			module + "/internal/browsertest", "go.uber.org/goleak", "github.com/google/go-cmp/...", "pgregory.net/rapid",
			"github.com/stretchr/..."}},
	{name: "examples are made of what every module may import", from: []string{"examples/..."},
		imports: []string{module + "/internal/..."}},
	{name: "examples/service can be copied with its tests", from: []string{"examples/service/..."},
		imports: []string{module + "/internal/..."}, tests: true},
	{name: "the test kit knows nothing of the project", from: []string{"internal/testkit/...", "internal/browsertest"},
		imports: []string{module + "/..."}},
	{name: "tests use the standard library, go-cmp and rapid", from: []string{"..."},
		imports: []string{"github.com/stretchr/..."}, tests: true},
}

func TestImports(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range packages {
				for _, v := range r.violations(p) {
					t.Errorf("%s imports %s", p.ImportPath, v)
				}
			}
		})
	}
}

// A rule that cannot fail checks nothing: here are packages that break one and packages that do not.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		rule rule
		pkg  pkg
		want bool // a violation
	}{
		{name: "below a pattern", rule: rule{from: []string{"..."}, imports: []string{"a.b/c/..."}},
			pkg: pkg{ImportPath: module + "/x/y", Imports: []string{"a.b/c/d"}}, want: true},
		{name: "the pattern's own path", rule: rule{from: []string{"x/..."}, imports: []string{"a.b/c/..."}},
			pkg: pkg{ImportPath: module + "/x", Imports: []string{"a.b/c"}}, want: true},
		{name: "a longer name", rule: rule{from: []string{"..."}, imports: []string{"a.b/c/..."}},
			pkg: pkg{ImportPath: module, Imports: []string{"a.b/cd"}}},
		{name: "excepted", rule: rule{from: []string{"..."}, except: []string{"x/..."}, imports: []string{"a"}},
			pkg: pkg{ImportPath: module + "/x/y", Imports: []string{"a"}}},
		{name: "not bound", rule: rule{from: []string{"x"}, imports: []string{"a"}},
			pkg: pkg{ImportPath: module + "/x/y", Imports: []string{"a"}}},
		{name: "tests that are free", rule: rule{from: []string{"x"}, imports: []string{"a"}},
			pkg: pkg{ImportPath: module + "/x", TestImports: []string{"a"}, XTestImports: []string{"a"}}},
		{name: "tests that are bound", rule: rule{from: []string{"x"}, imports: []string{"a"}, tests: true},
			pkg: pkg{ImportPath: module + "/x", XTestImports: []string{"a"}}, want: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.rule.violations(tt.pkg); (len(got) > 0) != tt.want {
				t.Errorf("violations %q, want some: %v", got, tt.want)
			}
		})
	}
}

// violations returns what the package imports against the rule.
func (r rule) violations(p pkg) []string {
	path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
	if !anyMatch(r.from, path) || anyMatch(r.except, path) {
		return nil
	}
	imports := slices.Clone(p.Imports)
	if r.tests {
		imports = slices.Concat(imports, p.TestImports, p.XTestImports)
	}
	return slices.DeleteFunc(imports, func(i string) bool { return !anyMatch(r.imports, i) })
}

func anyMatch(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "..." {
			return true
		}
		base, below := strings.CutSuffix(pattern, "/...")
		return path == base || below && strings.HasPrefix(path, base+"/")
	})
}

// list asks the go command for the module's packages.
// --tz and TZ name a zone, which logtail knows where the machine has no zone data, too.
func TestLogtailHasZoneData(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		if p.ImportPath == module+"/cmd/logtail" && !slices.Contains(p.Imports, "time/tzdata") {
			t.Error("cmd/logtail does not import time/tzdata")
		}
	}
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports",
		module+"/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
