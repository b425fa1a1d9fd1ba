//go:build unix

package main

import "context"

// hotPartition has a backlog in one of seven partitions. The others of its leader are empty, as with a key that half of
// the records have.
func hotPartition() []comparison {
	const records = 300_000
	var list []comparison
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		list = append(list, comparison{
			name:  "hot/" + codec,
			about: "300,000 records of 1 kB, all in one of 7 partitions, read in a new group",
			setup: func(ctx context.Context, p place) error {
				if err := makeTopics(ctx, p, 7, "hot"); err != nil {
					return err
				}
				first := func(int) int32 { return 0 }
				return fill(ctx, p, "hot", batch{records: records, size: 1000, codec: codec, partition: first})
			},
			peers: readAll("hot", records, 0),
		})
	}
	return list
}
