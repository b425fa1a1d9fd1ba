//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// printTable prints a line for each figure: of each peer the median of its rounds and, in brackets, their range; then
// the ratios of the other peers to each variant of franz-go or kcat, as far as that is not zero.
func printTable(out io.Writer, c comparison, order []string, results map[string][]figures) {
	fmt.Fprintf(out, "\n%s: %s (%d rounds, load %s)\n", c.name, c.about, len(results[ours]), loadAverage())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\tratios\n", strings.Join(order, "\t"))
	for i, f := range results[ours][0] {
		medians := make(map[string]float64)
		fmt.Fprintf(w, "%s", f.Name)
		for _, peer := range order {
			values := make([]float64, 0, len(results[peer]))
			for _, r := range results[peer] {
				values = append(values, r[i].Value)
			}
			slices.Sort(values)
			medians[peer] = median(values)
			fmt.Fprintf(w, "\t%s (%s to %s)", number(medians[peer]), number(values[0]), number(values[len(values)-1]))
		}
		fmt.Fprintf(w, "\t%s\n", ratios(order, medians))
	}
	_ = w.Flush() // to standard output
}

func ratios(order []string, medians map[string]float64) string {
	var texts []string
	for _, peer := range order {
		for _, to := range order {
			if isReference(peer) || !isReference(to) || medians[to] == 0 {
				continue
			}
			texts = append(texts, fmt.Sprintf("%s/%s %.2f", peer, to, medians[peer]/medians[to]))
		}
	}
	return strings.Join(texts, ", ")
}

// isReference tells the peers that the others are compared with.
func isReference(peer string) bool {
	return strings.HasPrefix(peer, franz) || strings.HasPrefix(peer, "kcat")
}

// median returns that of sorted values.
func median(sorted []float64) float64 { return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2 }

// number has three digits that say something.
func number(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.1:
		return fmt.Sprintf("%.4f", x)
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// loadAverage is that of the last minute, on Linux.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
