package client

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// Line is a connection to a server that answers each line with a line; not safe
// for concurrent use.
type Line struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialLine connects to host:port.
func DialLine(addr string) (*Line, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Line{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Line) Close() error { return c.conn.Close() }

// Do sends a line and waits for the answer. One that begins with ERROR is an
// error.
func (c *Line) Do(line string) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c.conn, line); err != nil {
		return err
	}
	answer, err := c.r.ReadString('\n')
	if err == nil && strings.HasPrefix(answer, "ERROR") {
		err = fmt.Errorf("%s: %s", line, strings.TrimSpace(answer))
	}
	return err
}
