package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Console is a connection to a console of tarantool; not safe for concurrent use.
type Console struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialConsole connects to host:port.
func DialConsole(addr string) (*Console, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &Console{conn: conn, r: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(timeout)) // a connection just made has no reason to refuse it
	for range 2 {                                 // the greeting
		if _, err := c.r.ReadString('\n'); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return c, nil
}

// Close closes the connection.
func (c *Console) Close() error { return c.conn.Close() }

// Do has a line of Lua executed and reads what it returns.
func (c *Console) Do(line string) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c.conn, line); err != nil {
		return err
	}
	for failed := ""; ; {
		answer, err := c.r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case answer == "...\n" && failed == "":
			return nil
		case answer == "...\n":
			return errors.New(failed)
		case strings.HasPrefix(answer, "- error:"):
			failed = strings.TrimSpace(answer)
		}
	}
}
