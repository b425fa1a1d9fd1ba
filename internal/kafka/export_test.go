package kafka

import (
	"context"
	"net"
)

// WrapConns puts wrap around every connection that c opens from now on: for tests that look at the bytes.
func WrapConns(c *Client, wrap func(net.Conn) net.Conn) {
	dial := c.transport.Dial
	c.transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	}
}
