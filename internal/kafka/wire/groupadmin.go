package wire

import (
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/listgroups"
)

// ListGroups asks one broker for the groups that it coordinates. The answer is a *GroupList.
type ListGroups struct {
	BrokerID int32
	ClientID string // Kafka's client.id

	version int16
}

// GroupList is the answer to a ListGroups.
type GroupList struct {
	Code   int16 // Kafka's error code; 0 = none
	Groups []ListedGroup
}

// ListedGroup is a group by name.
type ListedGroup struct {
	Group        string
	ProtocolType string // "consumer" for those that read topics; "" where offsets were committed without members
}

// ApiKey implements protocol.Message.
func (*ListGroups) ApiKey() protocol.ApiKey { return protocol.ListGroups }

// ApiKey implements protocol.Message.
func (*GroupList) ApiKey() protocol.ApiKey { return protocol.ListGroups }

// Broker implements protocol.BrokerMessage.
func (r *ListGroups) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leader(c, r.BrokerID, "listing groups")
}

// Required implements protocol.RawExchanger.
func (r *ListGroups) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.ListGroups]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *ListGroups) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if err := needVersion("listing groups", r.version, 1, 2, "2.5"); err != nil {
		return nil, err
	}
	b, err := Exchange(rw, r.version, r.ClientID, new(listgroups.Request), groupAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseGroupList(newGroupReader(b, false))
}

func parseGroupList(r *groupReader) (*GroupList, error) {
	r.int32() // throttle time
	list := &GroupList{Code: r.int16()}
	for range r.count(2 + 2) {
		g := ListedGroup{Group: r.string(), ProtocolType: r.string()}
		if r.failed {
			break
		}
		list.Groups = append(list.Groups, g)
	}
	if err := r.err(protocol.ListGroups); err != nil {
		return nil, err
	}
	return list, nil
}

// DescribeGroup asks a group's coordinator for its state and members. Of Member only the group counts. The answer is a
// *GroupDescription.
type DescribeGroup struct {
	Member
}

// GroupDescription is the answer to a DescribeGroup.
type GroupDescription struct {
	Code         int16  // Kafka's error code; 0 = none
	State        string // Kafka's: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead (there is no such group)
	ProtocolType string
	Protocol     string // the assignor
	Members      []DescribedMember
}

// DescribedMember is a member of a group.
type DescribedMember struct {
	MemberID   string
	InstanceID string // Kafka's group.instance.id; "" = none
	ClientID   string
	Host       string
	Assignment []byte // of the embedded consumer protocol
}

// ApiKey implements protocol.Message.
func (*DescribeGroup) ApiKey() protocol.ApiKey { return protocol.DescribeGroups }

// ApiKey implements protocol.Message.
func (*GroupDescription) ApiKey() protocol.ApiKey { return protocol.DescribeGroups }

// RawExchange implements protocol.RawExchanger.
func (d *DescribeGroup) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &describegroups.Request{Groups: []string{d.GroupID}}
	r, err := d.exchange(rw, groupVersions{least: 5, newest: 5, flexible: 5}, req, groupAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseGroupDescription(r)
}

// parseGroupDescription reads the one group that was asked for. kafka-go reads the array of groups of this version as
// if its length were not compact.
func parseGroupDescription(r *groupReader) (*GroupDescription, error) {
	r.int32() // throttle time
	d := new(GroupDescription)
	if r.count(2+1+1+1+1+1+4+1) != 1 {
		r.failed = true
	}
	d.Code = r.int16()
	_ = r.string() // the group's name
	d.State, d.ProtocolType, d.Protocol = r.string(), r.string(), r.string()
	for range r.count(6) {
		m := DescribedMember{MemberID: r.string(), InstanceID: r.string(), ClientID: r.string(), Host: r.string()}
		_ = r.bytes() // subscription
		m.Assignment = r.bytes()
		r.tags()
		if r.failed {
			break
		}
		d.Members = append(d.Members, m)
	}
	if err := r.err(protocol.DescribeGroups); err != nil {
		return nil, err
	}
	return d, nil
}

var (
	_ protocol.BrokerMessage = (*ListGroups)(nil)
	_ protocol.RawExchanger  = (*ListGroups)(nil)
	_ groupRequest           = (*DescribeGroup)(nil)
)
