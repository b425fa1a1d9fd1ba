//go:build unix

package main

import (
	"context"
	"fmt"
)

// partitionCounts shows how the cost of a record grows with the partitions of its topic, with one processor and with
// two. 10,000 partitions are for the embedded broker: a real one of one node does not answer in time while it makes
// them.
func partitionCounts() []comparison {
	const records, size = 300_000, 200
	var list []comparison
	for _, partitions := range []int{10, 100, 1000, 10_000} {
		// Those that publish have a filled topic, too: the first records of a thousand partitions cost the broker
		// seconds, whoever sends them.
		filled := func(ctx context.Context, p place) error {
			if err := makeTopics(ctx, p, partitions, "parts"); err != nil {
				return err
			}
			return fill(ctx, p, "parts", batch{records: records, size: size, partition: evenly(partitions)})
		}
		for _, processors := range []int{1, 2} {
			suffix := fmt.Sprintf("/%d/procs-%d", partitions, processors)
			about := fmt.Sprintf("300,000 records of 200 bytes, %d partitions, GOMAXPROCS=%d", partitions, processors)
			l := load{records: records, size: size, processors: processors}
			keyed := l
			keyed.keyed = true
			list = append(list,
				comparison{name: "partitions/publish" + suffix, about: about, setup: filled, peers: publishAll("parts", l)},
				comparison{name: "partitions/keyed" + suffix, about: about, setup: filled, peers: publishAll("parts", keyed)},
				comparison{
					name: "partitions/consume" + suffix, about: about, setup: filled,
					peers: readAll("parts", records, processors),
				})
		}
	}
	return list
}
