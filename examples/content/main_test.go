package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Program(main)
	kafkatest.Main(m)
}

// check runs the example as a process of its own, and looks at what it prints.
func check(t *testing.T, kafka string) {
	t.Helper()
	stdout, stderr := testkit.Output(t, "KAFKAESK_KAFKA_SERVERS="+kafka)
	handled, ofHome := []string{}, []string{} // edits of the page home
	var others strings.Builder
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "handled ") {
			others.WriteString(line)
			continue
		}
		handled = append(handled, line)
		if strings.Contains(line, "edited.Page  home") {
			ofHome = append(ofHome, line)
		}
	}
	if diff := cmp.Diff(wantEditsOfHome, ofHome); diff != "" {
		t.Errorf("the records of one key, in their order (-want +got):\n%s", diff)
	}
	slices.Sort(handled) // there is no order between partitions
	if diff := cmp.Diff(wantHandled, handled); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantOthers, others.String()); diff != "" {
		t.Errorf("other lines (-want +got):\n%s", diff)
	}
	if stderr != "" {
		t.Errorf("standard error: %s", stderr)
	}
}

var (
	wantEditsOfHome = []string{
		"handled    content.edited.Page  home   \"Welcome!\"\n",
		"handled    content.edited.Page  home   \"Welcome back\"\n",
	}
	wantHandled = []string{
		"handled    content.created.Page home   \"Welcome\"\n",
		"handled    content.deleted.Page about  \"Who we are\"\n",
		"handled    content.edited.Page  about  \"Who we are\"\n",
		"handled    content.edited.Page  home   \"Welcome back\"\n",
		"handled    content.edited.Page  home   \"Welcome!\"\n",
	}
)

const wantOthers = `published  content.created.Page home   "Welcome"
published  content.edited.Page  home   "Welcome!"
published  content.edited.Page  about  "Who we are"
published  content.edited.Page  home   "Welcome back"
refused    content.edited.Page  about  title: minLength
published  content.deleted.Page about  "Who we are"
5 records published, 5 handled
`

func TestWithNothingButGo(t *testing.T) {
	t.Parallel()
	check(t, "")
}

// On a Kafka that stays, the group goes on where the last run was.
func TestOnAKafkaThatStays(t *testing.T) {
	t.Parallel()
	// the streams of the example have no prefix
	servers := strings.Join(kafkatest.Start(t, kafkatest.Own()).Servers(), ",")
	for range 2 {
		check(t, servers)
	}
}
