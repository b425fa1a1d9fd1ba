package apache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Brokers asks the broker at addr, once, for the live brokers of its cluster, and returns their ids.
func Brokers(ctx context.Context, addr string) (ids []int32, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("apache: asking %s for its cluster: %w", addr, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(1)
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil means all
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		return nil, err
	}
	var head [8]byte // size, correlation id
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 4 || size > 1<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", size)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	if err := resp.ReadFrom(body); err != nil {
		return nil, err
	}
	for _, b := range resp.Brokers {
		ids = append(ids, b.NodeID)
	}
	return ids, nil
}

// FreePorts returns n unused loopback ports. They are below the range of ephemeral ports: while a broker is down, an
// outgoing connection could otherwise use its port, even the connection that checks whether the broker is back.
func FreePorts(n int) ([]int, error) {
	const first, count, tries = 15_000, 15_000, 1_000
	var ports []int
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(count))))
		if err != nil {
			continue
		}
		defer ln.Close() // all stay open until all are found, so that none is found twice
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return nil, errors.New("apache: no free ports on loopback")
}
