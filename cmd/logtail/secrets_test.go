package main

import (
	"context"
	"io"
	"testing"

	"github.com/kafkaesk/kafkaesk/cmd/internal/cmdtest"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// Wherever settings with a password come from, and whatever is wrong with them, logtail prints no password.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	commands := []string{"--no-follow logs.*", "--no-follow logs.* --from nowhere", "--no-follow logs.* --streams"}
	cmdtest.NeverPrintsSecrets(t, kafkatest.Start(t).Servers(), commands, func(ctx context.Context, args []string,
		getenv func(string) string, out, errs io.Writer) int {
		return Run(ctx, args, streams{out, errs, getenv})
	})
}
