//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
)

// firstRecord takes the time from a new client to the first record that it handles in a new group.
func firstRecord() []comparison {
	var list []comparison
	for _, partitions := range []int{7, 100} {
		peers := make(map[string]measurement)
		for name, read := range readers() {
			peers[name] = func(ctx context.Context, p place) (figures, error) { return firstOfMany(ctx, p, read) }
		}
		list = append(list, comparison{
			name:  fmt.Sprintf("first/%d", partitions),
			about: fmt.Sprintf("the first record of a new group, %d partitions, median of 15 groups", partitions),
			setup: func(ctx context.Context, p place) error {
				if err := makeTopics(ctx, p, partitions, "first"); err != nil {
					return err
				}
				return fill(ctx, p, "first", batch{records: 1000, size: 200, partition: evenly(partitions)})
			},
			peers: peers,
		})
	}
	return list
}

func firstOfMany(ctx context.Context, p place, read reader) (figures, error) {
	const groups = 15
	var times []float64
	for range groups {
		r, err := read(ctx, p, "first", 1)
		if err != nil {
			return nil, err
		}
		times = append(times, r.first.Seconds()*1e3)
	}
	slices.Sort(times)
	return figures{{"median ms", median(times)}, {"worst ms", times[len(times)-1]}}, nil
}
