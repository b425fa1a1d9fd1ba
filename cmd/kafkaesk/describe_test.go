package main

import (
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// An app that cannot be described is a sentence, and nothing of it is run.
func TestAppsThatCannotBeDescribed(t *testing.T) {
	t.Parallel()
	dir := newModule(t, files{
		"pkg/app.go": app("pkg", "old"), // its worker does not know --describe
		"main.go":    "package main\n\nfunc main() { println(\"it runs\") }\n",
	})
	for target, want := range map[string]string{
		"./pkg": "./pkg: the app's description is not JSON", ".": "is a program (package main), which nothing can import",
		"./none": "no directory ./none", "name": "name",
	} {
		got := kafkaesk(t, dir, nil, "asyncapi", target)
		if got.code == cli.OK || got.stdout != "" || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", target, got)
		}
	}
}
