// Package operate contains the commands that operate running applications: streams, groups, their lag, and dead
// letters.
package operate

import (
	"github.com/spf13/cobra"

	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// Commands returns the commands.
func Commands(s cli.Streams) []*cobra.Command {
	return []*cobra.Command{newStreams(s), newGroups(s), newLag(s), newDead(s)}
}
