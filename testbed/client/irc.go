package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// IRC is a connection to an Internet Relay Chat server; not safe for concurrent use.
type IRC struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialIRC connects to host:port under a nickname of nine letters at most.
func DialIRC(addr, nick string) (*IRC, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &IRC{conn: conn, r: bufio.NewReader(conn)}
	if err := c.Do(fmt.Sprintf("NICK %[1]s\r\nUSER %[1]s 0 * :a user", nick)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Close closes the connection.
func (c *IRC) Close() error { return c.conn.Close() }

// Do sends a command and reads until it is done, which the answer to a PING after it says.
func (c *IRC) Do(command string) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.conn, "%s\r\nPING :done\r\n", command); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.Contains(line, " PONG ") {
			return nil
		}
	}
}
