package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Memcached is a connection to a memcached server, in its text protocol; not
// safe for concurrent use.
type Memcached struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialMemcached connects to host:port.
func DialMemcached(addr string) (*Memcached, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Memcached{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Memcached) Close() error { return c.conn.Close() }

// Do sends one command with its line ends and data ("get a\r\n") and reads the
// reply, of which it returns the number of lines before the last.
func (c *Memcached) Do(command []byte) (int, error) {
	if err := c.Send(command); err != nil {
		return 0, err
	}
	for lines := 0; ; lines++ {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		word, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		switch string(word) {
		case "VALUE": // VALUE <key> <flags> <bytes>, and the data
			size, err := strconv.Atoi(string(rest[bytes.LastIndexByte(rest, ' ')+1:]))
			if err != nil {
				return 0, fmt.Errorf("memcached: %q", line)
			}
			if _, err := io.CopyN(io.Discard, c.r, int64(size)+2); err != nil {
				return 0, err
			}
		case "ITEM", "STAT":
		case "ERROR", "CLIENT_ERROR", "SERVER_ERROR":
			return 0, fmt.Errorf("memcached: %s", bytes.TrimSpace(line))
		default: // END, STORED, NOT_FOUND, a number, …
			return lines, nil
		}
	}
}

// Send sends commands that have no reply (noreply).
func (c *Memcached) Send(commands []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(commands)
	return err
}
