// Package client speaks just enough of the protocols of the servers under test
// to put load on them and to turn a fault on.
package client

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// timeout bounds every request: a server that hangs for longer is an error of
// the load, which goes on with a new connection.
const timeout = 30 * time.Second

// Redis is a connection to a redis server; not safe for concurrent use.
type Redis struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

// DialRedis connects to host:port.
func DialRedis(addr string) (*Redis, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Redis{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Redis) Close() error { return c.conn.Close() }

// Do sends one command and reads its reply, whose size it returns: the bytes
// of a string, the elements of an array, an integer itself.
func (c *Redis) Do(args ...string) (int, error) {
	c.buf = appendCommand(c.buf[:0], args)
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return 0, err
	}
	return c.reply()
}

func (c *Redis) reply() (int, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 3 {
		return 0, fmt.Errorf("redis: short reply %q", line)
	}
	kind, rest := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return len(rest), nil
	case '-':
		return 0, fmt.Errorf("redis: %s", rest)
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return 0, fmt.Errorf("redis: reply %q", line)
	}
	switch kind {
	case ':':
		return n, nil
	case '$':
		if n < 0 {
			return 0, nil
		}
		_, err := io.CopyN(io.Discard, c.r, int64(n)+2)
		return n, err
	case '*':
		for range max(n, 0) {
			if _, err := c.reply(); err != nil {
				return 0, err
			}
		}
		return n, nil
	}
	return 0, fmt.Errorf("redis: unknown reply %q", line)
}
