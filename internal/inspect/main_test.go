package inspect_test

import (
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }
