package bus_test

import (
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A document that nobody has read checks nothing: it is an error, and not a schema of the Go type.
func TestAnEmptyDocumentIsNoSchema(t *testing.T) {
	t.Parallel()
	for name, document := range map[string][]byte{"nil": nil, "empty": {}} {
		err := bus.Schema[map[string]any](bus.New(bus.Config{}), "Doc", bus.SchemaJSON(document))
		if err == nil || !strings.Contains(err.Error(), "SchemaJSON") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
