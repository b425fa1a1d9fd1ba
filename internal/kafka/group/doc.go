// Package group makes this process a member of a Kafka consumer group: it joins, is given partitions, says that it
// lives, commits, hands its partitions over when the group changes, and leaves.
//
// A [Member] is two things. machine.go is a state machine without I/O: what has happened goes in, what is to be done
// next comes out; all that can go wrong in a group is decided there. Around it is a loop that carries that out, with
// four helpers that never outlive it: heartbeats (they belong to the member, not to a generation: they go on while
// partitions are drained and while the group is joined again), the resolver (it notices topics and partitions that come
// and go), the committer (one request at a time, bound to the generation that gave the partitions), and the Consumer's
// drain.
//
// What holds, whatever the brokers do:
//   - A commit carries the generation that gave its partitions, and is never sent in a later one. The brokers would
//     take it, and would let it rewind what another member has finished since.
//   - Nothing the member sends creates a topic, and a topic that is missing keeps nobody from the others.
//   - It joins at most once a second of its own wish.
//   - Nothing waits for a broker longer than its timeout; Run returns when everything it started has ended.
package group
