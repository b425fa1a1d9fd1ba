package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func ptr[T any](v T) *T { return &v }

// groupCase is a request of a group, what a broker reads of it, and what we read of an answer. franz-go's
// messages are the broker's side: they know nothing of kafka-go's.
type groupCase struct {
	name     string
	versions []int16
	request  groupRequest
	sent     kmsg.Request
	answer   kmsg.Response
	want     protocol.Message
}

func groupCases() []groupCase {
	me := Member{GroupID: "g", MemberID: "m-1", InstanceID: "static", ClientID: "me"}
	tagged := kmsg.Tags{}
	tagged.Set(9, []byte("from the future"))

	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.MemberID, join.InstanceID, join.ProtocolType = "g", "m-1", ptr("static"), "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 10_000, 60_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "sticky", Metadata: []byte("s")},
		{Name: "range", Metadata: []byte("r")}}
	joined := kmsg.NewPtrJoinGroupResponse()
	joined.ThrottleMillis, joined.ErrorCode, joined.Generation = 1, 79, 7
	joined.ProtocolType, joined.Protocol, joined.LeaderID, joined.MemberID = ptr("consumer"), ptr("sticky"), "m-2", "m-1"
	joined.Members = []kmsg.JoinGroupResponseMember{
		{MemberID: "m-1", InstanceID: ptr("static"), ProtocolMetadata: []byte("metadata"), UnknownTags: tagged},
		{MemberID: "m-2", ProtocolMetadata: []byte{}},
	}
	joined.UnknownTags = tagged
	refused := kmsg.NewPtrJoinGroupResponse()
	refused.ErrorCode, refused.MemberID = 25, "m-9"

	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.Generation, sync.MemberID, sync.InstanceID = "g", 7, "m-1", ptr("static")
	sync.ProtocolType, sync.Protocol = ptr("consumer"), ptr("sticky")
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: "m-1", MemberAssignment: []byte("one")},
		{MemberID: "m-2", MemberAssignment: []byte("two")}}
	synced := kmsg.NewPtrSyncGroupResponse()
	synced.ThrottleMillis, synced.ErrorCode, synced.MemberAssignment, synced.UnknownTags = 1, 27, []byte("one"), tagged
	synced.ProtocolType, synced.Protocol = ptr("consumer"), ptr("sticky")

	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.Generation, beat.MemberID, beat.InstanceID = "g", 7, "m-1", ptr("static")

	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = "g"
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "m-1", InstanceID: ptr("static")}}
	left := kmsg.NewPtrLeaveGroupResponse()
	left.ThrottleMillis, left.UnknownTags = 27, tagged
	left.Members = []kmsg.LeaveGroupResponseMember{{MemberID: "m-1", InstanceID: ptr("static"), ErrorCode: 25,
		UnknownTags: tagged}}
	leftNot := kmsg.NewPtrLeaveGroupResponse()
	leftNot.ThrottleMillis, leftNot.ErrorCode = 1, 16

	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation, commit.MemberID, commit.InstanceID = "g", 7, "m-1", ptr("static")
	commit.Topics = []kmsg.OffsetCommitRequestTopic{
		{Topic: "b", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1, Offset: 10, LeaderEpoch: -1},
			{Partition: 0, Offset: 12, LeaderEpoch: -1}}},
		{Topic: "a", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 2, Offset: 11, LeaderEpoch: -1}}},
	}
	committed := kmsg.NewPtrOffsetCommitResponse()
	committed.ThrottleMillis = 1
	committed.Topics = []kmsg.OffsetCommitResponseTopic{
		{Topic: "b", Partitions: []kmsg.OffsetCommitResponseTopicPartition{{Partition: 1}, {Partition: 0, ErrorCode: 22}}},
		{Topic: "a", Partitions: []kmsg.OffsetCommitResponseTopicPartition{{Partition: 2, ErrorCode: 3}}},
	}

	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group = "g"
	fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "a", Partitions: []int32{2}},
		{Topic: "b", Partitions: []int32{1, 0}}}
	fetched := kmsg.NewPtrOffsetFetchResponse()
	fetched.ThrottleMillis, fetched.ErrorCode = 1, 14
	fetched.Topics = []kmsg.OffsetFetchResponseTopic{
		{Topic: "a", Partitions: []kmsg.OffsetFetchResponseTopicPartition{{Partition: 2, Offset: -1, LeaderEpoch: -1}}},
		{Topic: "b", Partitions: []kmsg.OffsetFetchResponseTopicPartition{
			{Partition: 1, Offset: 10, LeaderEpoch: 3, Metadata: ptr("of another client")},
			{Partition: 0, Offset: 5, ErrorCode: 29, Metadata: ptr("")}}},
	}
	every := kmsg.NewPtrOffsetFetchRequest()
	every.Group = "g"

	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"g"}
	described := kmsg.NewPtrDescribeGroupsResponse()
	described.ThrottleMillis, described.UnknownTags = 1, tagged
	described.Groups = []kmsg.DescribeGroupsResponseGroup{{ErrorCode: 16, Group: "g", State: "Stable",
		ProtocolType: "consumer", Protocol: "sticky",
		Members: []kmsg.DescribeGroupsResponseGroupMember{
			{MemberID: "m-1", InstanceID: ptr("static"), ClientID: "c", ClientHost: "/h", ProtocolMetadata: []byte("p"),
				MemberAssignment: []byte("a"),
				UnknownTags:      tagged},
			{MemberID: "m-2", ProtocolMetadata: []byte{}, MemberAssignment: []byte{}}}}}

	none := kmsg.NewPtrOffsetFetchRequest()
	none.Group, none.Topics = "g", []kmsg.OffsetFetchRequestTopic{}

	cases := []groupCase{
		{"join", []int16{7},
			&JoinGroup{Member: me, Session: 10 * time.Second, Rebalance: time.Minute,
				Protocols: []JoinProtocol{{"sticky", []byte("s")}, {"range", []byte("r")}}}, join,
			joined, &JoinAnswer{Code: 79, Generation: 7, Protocol: "sticky", Leader: "m-2", MemberID: "m-1",
				Members: []JoinedMember{{"m-1", "static", []byte("metadata")}, {"m-2", "", nil}}}},
		{"join refused", []int16{7},
			&JoinGroup{Member: me, Session: 10 * time.Second, Rebalance: time.Minute,
				Protocols: []JoinProtocol{{"sticky", []byte("s")}, {"range", []byte("r")}}}, join,
			refused, &JoinAnswer{Code: 25, Generation: -1, MemberID: "m-9"}},
		{"sync", []int16{5},
			&SyncGroup{Member: me, Generation: 7, Protocol: "sticky", Assignments: map[string][]byte{"m-2": []byte("two"),
				"m-1": []byte("one")}}, sync,
			synced, &SyncAnswer{Code: 27, Assignment: []byte("one")}},
		{"leave", []int16{3, 4}, &LeaveGroup{Member: me}, leave, left, &LeaveAnswer{Code: 25}},
		{"leave refused", []int16{3, 4}, &LeaveGroup{Member: me}, leave, leftNot, &LeaveAnswer{Code: 16}},
		{"commit", []int16{7},
			&CommitOffsets{Member: me, Generation: 7, Offsets: []PartitionOffset{{"b", 1, 10}, {"a", 2, 11}, {"b", 0, 12}}},
			commit,
			committed, &CommitAnswer{Partitions: []CommittedPartition{{"b", 1, 0}, {"b", 0, 22}, {"a", 2, 3}}}},
		{"fetch", []int16{5},
			&FetchOffsets{Member: me, Partitions: map[string][]int32{"b": {1, 0}, "a": {2}}}, fetch,
			fetched, &OffsetsAnswer{Code: 14, Partitions: []FetchedOffset{{"a", 2, 0, -1}, {"b", 1, 0, 10}, {"b", 0, 29, 5}}}},
		{"fetch nothing", []int16{5}, &FetchOffsets{Member: me}, none, kmsg.NewPtrOffsetFetchResponse(), &OffsetsAnswer{}},
		{"fetch everything", []int16{5}, &FetchOffsets{Member: me, All: true}, every, kmsg.NewPtrOffsetFetchResponse(),
			&OffsetsAnswer{}},
		{"describe", []int16{5}, &DescribeGroup{Member: me}, describe, described,
			&GroupDescription{Code: 16, State: "Stable", ProtocolType: "consumer", Protocol: "sticky",
				Members: []DescribedMember{{"m-1", "static", "c", "/h", []byte("a")}, {"m-2", "", "", "", nil}}}},
	}
	for _, code := range []int16{0, 22, 25, 27, 82} {
		beaten := kmsg.NewPtrHeartbeatResponse()
		beaten.ThrottleMillis, beaten.ErrorCode, beaten.UnknownTags = 300, code, tagged
		cases = append(cases, groupCase{fmt.Sprintf("heartbeat %d", code), []int16{3, 4},
			&Heartbeat{Member: me, Generation: 7}, beat, beaten, &HeartbeatAnswer{Code: code}})
	}
	return cases
}

// eachGroupCase runs f once for each case and version, with the answer's bytes.
func eachGroupCase(t *testing.T, f func(t *testing.T, c groupCase, version int16, body []byte)) {
	for _, c := range groupCases() {
		for _, version := range c.versions {
			t.Run(fmt.Sprintf("%s v%d", c.name, version), func(t *testing.T) {
				c.request.Required(map[protocol.ApiKey]int16{c.request.ApiKey(): version})
				f(t, c, version, answerBody(c.answer, version))
			})
		}
	}
}

// answerBody returns an answer from behind its correlation id.
func answerBody(r kmsg.Response, version int16) []byte {
	r.SetVersion(version)
	var b []byte
	if r.IsFlexible() {
		b = append(b, 1, 5, 2, 'h', 'i') // a header with a tag
	}
	return r.AppendTo(b)
}

func TestGroupExchange(t *testing.T) {
	t.Parallel()
	eachGroupCase(t, func(t *testing.T, c groupCase, version int16, body []byte) {
		conn := &conn{Reader: bytes.NewReader(answer(1, body))}
		got, err := c.request.RawExchange(conn)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		if key := got.ApiKey(); key != c.request.ApiKey() || int16(key) != c.sent.Key() {
			t.Errorf("%s answers %s", key, c.request.ApiKey())
		}
		if c.request.Group() != "g" {
			t.Errorf("goes to the coordinator of %q", c.request.Group())
		}

		c.sent.SetVersion(version)
		want := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, c.sent, 1)
		if sent := conn.sent.Bytes(); !bytes.Equal(sent, want) && !sameRequest(t, c.sent, sent, want) {
			t.Errorf("sent\n%q, franz-go would send\n%q", sent, want)
		}
	})
}

// sameRequest says whether a broker reads got as want. Their bytes differ where a null text and an empty
// one mean the same.
func sameRequest(t *testing.T, like kmsg.Request, got, want []byte) bool {
	read := func(b []byte) kmsg.Request {
		head := 4 + 2 + 2 + 4 + 2 + len("me")
		if like.IsFlexible() {
			head++
		}
		if len(b) < head || !bytes.Equal(b[4:head], want[4:head]) || int(binary.BigEndian.Uint32(b)) != len(b)-4 {
			t.Fatalf("header %q, want %q", b, want[:head])
		}
		r := kmsg.RequestForKey(like.Key())
		r.SetVersion(like.GetVersion())
		if err := r.ReadFrom(b[head:]); err != nil {
			t.Fatal(err)
		}
		if c, ok := r.(*kmsg.OffsetCommitRequest); ok {
			for _, topic := range c.Topics {
				for i := range topic.Partitions {
					if p := &topic.Partitions[i]; p.Metadata == nil {
						p.Metadata = ptr("")
					}
				}
			}
		}
		return r
	}
	return cmp.Equal(read(want), read(got), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(kmsg.Tags{}))
}

// Whatever is missing of an answer, it is an error and no answer with zeros in it, which would say that
// all is well.
func TestGroupAnswersCutOff(t *testing.T) {
	t.Parallel()
	eachGroupCase(t, func(t *testing.T, c groupCase, version int16, body []byte) {
		for n := range body {
			got, err := c.request.RawExchange(&conn{Reader: bytes.NewReader(answer(1, body[:n]))})
			// The tags at the very end say nothing.
			if err == nil && !cmp.Equal(c.want, got, cmpopts.EquateEmpty()) {
				t.Fatalf("cut off at %d of %d: %+v", n, len(body), got)
			}
			if err != nil && !strings.Contains(err.Error(), "exceeds its bytes") {
				t.Fatalf("cut off at %d: %v", n, err)
			}
		}
		if _, err := c.request.RawExchange(&conn{Reader: bytes.NewReader(answer(1, body)[:len(body)])}); !errors.Is(err,
			io.ErrUnexpectedEOF) {
			t.Errorf("the connection ended in the answer: %v", err)
		}
	})
}

// TestGroupAnswersBounds puts a huge number at every place: no panic, and no memory for what the bytes
// could not fill.
func TestGroupAnswersBounds(t *testing.T) {
	eachGroupCase(t, func(t *testing.T, c groupCase, version int16, body []byte) {
		for _, huge := range [][]byte{{0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0x07},
			{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, {0x80, 0, 0, 0}} {
			for at := range body {
				b := append(bytes.Clone(body[:at]), huge...)
				if at+len(huge) < len(body) {
					b = append(b, body[at+len(huge):]...)
				}
				in := &conn{Reader: bytes.NewReader(answer(1, b))}
				if n := allocatedBy(func() { _, _ = c.request.RawExchange(in) }); n > 512<<10 {
					t.Errorf("%x at %d: %d bytes allocated", huge, at, n)
				}
			}
		}
	})
}

func TestGroupVersions(t *testing.T) {
	t.Parallel()
	known := map[protocol.ApiKey][]int16{}
	for _, c := range groupCases() {
		known[c.request.ApiKey()] = c.versions
		for version := range int16(12) {
			c.request.Required(map[protocol.ApiKey]int16{c.request.ApiKey(): version})
			_, err := c.request.RawExchange(&conn{Reader: bytes.NewReader(nil)})
			if known := slices.Contains(c.versions, version); known != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s v%d: %v", c.name, version, err)
			} else if !known && !strings.Contains(err.Error(), "Kafka 2.5 or later") {
				t.Errorf("%s v%d: %v", c.name, version, err)
			}
		}
		// The highest is what kafka-go agrees on with every broker that has it.
		if newest := c.versions[len(c.versions)-1]; c.request.ApiKey().MaxVersion() != newest {
			t.Errorf("%s: kafka-go sends version %d, %d is known", c.name, c.request.ApiKey().MaxVersion(), newest)
		}
	}
	if len(known) != 7 {
		t.Errorf("requests %v", slices.Collect(maps.Keys(known)))
	}
}

func FuzzGroupAnswers(f *testing.F) {
	for _, c := range groupCases() {
		for _, version := range c.versions {
			f.Add(answerBody(c.answer, version))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, flexible := range []bool{false, true} {
			n := 0
			if a, err := parseJoin(newGroupReader(b, flexible)); err == nil {
				for _, m := range a.Members {
					n += 3 + len(m.MemberID) + len(m.InstanceID) + len(m.Metadata)
				}
			}
			if a, err := parseSync(newGroupReader(b, flexible)); err == nil {
				n = max(n, len(a.Assignment))
			}
			if a, err := parseCommit(newGroupReader(b, flexible)); err == nil {
				n = max(n, 6*len(a.Partitions))
			}
			if a, err := parseOffsets(newGroupReader(b, flexible)); err == nil {
				n = max(n, 17*len(a.Partitions))
			}
			if d, err := parseGroupDescription(newGroupReader(b, flexible)); err == nil {
				for _, m := range d.Members {
					n = max(n, len(m.MemberID)+len(m.ClientID)+len(m.Assignment))
				}
			}
			if l, err := parseGroupList(newGroupReader(b, flexible)); err == nil {
				n = max(n, 2*len(l.Groups))
			}
			_, _ = parseHeartbeat(newGroupReader(b, flexible))
			_, _ = parseLeave(newGroupReader(b, flexible))
			if n > len(b) {
				t.Fatalf("%d bytes out of %d", n, len(b))
			}
		}
	})
}
