//go:build unix

// Command compare measures the library beside franz-go, in everything that a benchmark of one process cannot show: what
// a rebalance costs, an idle program, a hot partition, a codec.
//
//	KAFKA=apache go run ./compare hot first
//
// Each argument is the name of a comparison, or its beginning up to a slash; without one, the names are listed. The
// peers take turns on one broker, each measurement in a process of its own, so that CPU, memory and bytes are those of
// one peer. What is printed is the median of the rounds with their range, and ratios to franz-go. On a busy machine
// only the ratios mean anything.
//
// A build of another commit joins as a further peer with -with NAME=BINARY.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The peers that every comparison has.
const (
	ours  = "kafkaesk"
	franz = "franz-go"
)

// comparison is one thing to measure in all peers.
type comparison struct {
	name  string                                   // as on the command line, "hot/lz4"
	about string                                   // one line for the reader
	setup func(ctx context.Context, p place) error // makes the topics, once for all peers and rounds
	peers map[string]measurement
}

// measurement is what one peer does in one round, in a process of its own.
type measurement func(ctx context.Context, p place) (figures, error)

// place is where a comparison's topics are.
type place struct {
	Servers []string
	Prefix  string // of the names of topics
}

// figures are what a peer measured, in the order in which they are printed. A figure's name ends with its unit.
type figures []figure

type figure struct {
	Name  string
	Value float64
}

func comparisons() []comparison {
	return slices.Concat(hotPartition(), firstRecord(), rebalances(), idle(), sizes(), rate(), memory(),
		partitionCounts(), apps(), tailing())
}

// task is what the parent process asks of a child: one measurement of one peer.
type task struct {
	Comparison, Peer string
	Place            place
	Profile          string // the file for a CPU profile; empty for none
}

const taskVariable = "KAFKAESK_COMPARE_TASK"

// taskTimeout bounds a measurement.
const taskTimeout = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if text := os.Getenv(memberVariable); text != "" {
		return runMember(ctx, text)
	}
	if text := os.Getenv(taskVariable); text != "" {
		return runTask(ctx, text)
	}
	rounds := flag.Int("rounds", 3, "how often each peer is measured")
	profiles := flag.String("profiles", "", "a directory for a CPU profile of each peer's last round")
	others := make(map[string]string)
	const with = "`NAME=BINARY`: a further peer, the library as this build of compare has it"
	flag.Func("with", with, func(text string) error {
		name, binary, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want NAME=BINARY")
		}
		others[name] = binary
		return nil
	})
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		for _, c := range comparisons() {
			fmt.Printf("%-24s %s\n", c.name, c.about)
		}
		return nil
	}
	servers, stop, err := startKafka(ctx)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		if err = compare(ctx, c, servers, *rounds, others, *profiles); err != nil {
			break
		}
	}
	return errors.Join(err, stop())
}

// choose returns the comparisons that the arguments name.
func choose(arguments []string) ([]comparison, error) {
	var chosen []comparison
	for _, argument := range arguments {
		before := len(chosen)
		for _, c := range comparisons() {
			if c.name == argument || strings.HasPrefix(c.name, argument+"/") {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no comparison is called %q: run without arguments to list them", argument)
		}
	}
	return chosen, nil
}

// compare measures all peers in turn and prints the table. Every other round has the opposite order, because a broker's
// speed changes while it runs.
func compare(
	ctx context.Context, c comparison, servers []string, rounds int, others map[string]string, profiles string,
) error {
	p := place{Servers: servers, Prefix: "compare-" + strings.ReplaceAll(c.name, "/", "-") + "-" + randomName() + "."}
	defer deleteTopics(p)
	if err := c.setup(ctx, p); err != nil {
		return fmt.Errorf("%s: making the topics: %w", c.name, err)
	}
	order := peerOrder(c, others)
	results := make(map[string][]figures)
	for range rounds {
		for _, peer := range order {
			t := task{Comparison: c.name, Peer: peer, Place: p}
			if profiles != "" {
				t.Profile = filepath.Join(profiles, strings.ReplaceAll(c.name+"/"+peer+".pprof", "/", "-"))
			}
			f, err := measure(ctx, t, others[peer])
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.name, peer, err)
			}
			results[peer] = append(results[peer], f)
		}
		slices.Reverse(order)
	}
	printTable(os.Stdout, c, peerOrder(c, others), results)
	return nil
}

// peerOrder returns ours, other builds of ours, and then franz-go in its variants.
func peerOrder(c comparison, others map[string]string) []string {
	var order []string
	for name := range c.peers {
		order = append(order, name)
	}
	for name := range others {
		order = append(order, name)
	}
	rank := func(name string) int {
		switch {
		case name == ours:
			return 0
		case others[name] != "":
			return 1
		}
		return 2
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return order
}

// measure runs a task in a process of its own: in this program, or in another build of it, whose "kafkaesk" is then
// meant.
func measure(ctx context.Context, t task, binary string) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, taskTimeout)
	defer cancel()
	if binary != "" {
		t.Peer = ours
	} else {
		var err error
		if binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, binary)
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = 30 * time.Second
	child.Env = append(os.Environ(), taskVariable+"="+string(text))
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		return nil, fmt.Errorf("the process that measures: %w", cmp.Or(context.Cause(ctx), err))
	}
	var f figures
	if err := json.Unmarshal(out, &f); err != nil {
		return nil, fmt.Errorf("the process that measures wrote %q: %w", out, err)
	}
	return f, nil
}

// runTask is main of a process that measures. It writes its figures as JSON to standard output.
func runTask(ctx context.Context, text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("%s: %w", taskVariable, err)
	}
	for _, c := range comparisons() {
		if c.name != t.Comparison {
			continue
		}
		stop, err := startProfile(t.Profile)
		if err != nil {
			return err
		}
		f, err := c.peers[t.Peer](ctx, t.Place)
		if err = errors.Join(err, stop()); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(f)
	}
	return fmt.Errorf("%s: there is no comparison %q in this build", taskVariable, t.Comparison)
}
