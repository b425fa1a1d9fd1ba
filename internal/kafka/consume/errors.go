package consume

import "fmt"

// NoOffsetError says that a group has no commit for a partition, and auto_offset_reset=none forbids to choose one.
type NoOffsetError struct {
	Group, Topic string
	Partition    int32
}

func (e *NoOffsetError) Error() string {
	return fmt.Sprintf("consume: group %q has no committed offset for %s/%d, and auto_offset_reset is none: commit one, "+
		"or set auto_offset_reset to earliest or latest", e.Group, e.Topic, e.Partition)
}
