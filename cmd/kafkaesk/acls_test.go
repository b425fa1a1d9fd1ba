package main

import (
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

func TestACLs(t *testing.T) {
	t.Parallel()
	dir := shopModule(t)
	got := kafkaesk(t, dir, nil, "acls", "./shop", "--publish=logs")
	const table = `RESOURCE  NAME             PATTERN   OPERATIONS                          WHY
topic     shop.logs        literal   Write,Create                        publish logs
topic     shop.orders.     prefixed Read,DescribeConfigs,Write,Create  billing reads orders.*; failed records of billing
topic     shop.orders.new  literal   Write,Create                        publish orders.new
group     billing          literal   Read                                consume as billing
`
	if squeeze(got.stdout) != squeeze(table) || got.code != cli.OK {
		t.Errorf("%+v", got)
	}
	got = kafkaesk(t, dir, nil, "acls", "./shop", "--commands", "--no-create", "--principal=User:o'hara",
		"--topic-prefix=p.")
	const commands = `kafka-acls --bootstrap-server "$KAFKA" --add --allow-principal 'User:o'\''hara' --operation Read ` +
		`--operation Write --topic 'p.orders.' --resource-pattern-type prefixed
kafka-acls --bootstrap-server "$KAFKA" --add --allow-principal 'User:o'\''hara' --operation Write --topic 'p.orders.new'
kafka-acls --bootstrap-server "$KAFKA" --add --allow-principal 'User:o'\''hara' --operation Read --group 'billing'
`
	if got.stdout != commands || got.code != cli.OK {
		t.Errorf("%+v", got)
	}
	if got = kafkaesk(t, dir, nil, "acls", "./shop", "--commands", "-o", "json"); got.code != cli.Usage {
		t.Errorf("%+v", got)
	}
}

// squeeze makes one space of several.
func squeeze(table string) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}
