package client

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// imapPatience is that of a mail program: it waits for longer than others do.
const imapPatience = 2 * time.Minute

// IMAP is a session with a mail server; not safe for concurrent use.
type IMAP struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

// DialIMAP connects to host:port and logs in.
func DialIMAP(addr, user, password string) (*IMAP, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &IMAP{conn: conn, r: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err = c.r.ReadString('\n'); err == nil { // the greeting
		err = c.Do("LOGIN " + user + " " + password)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection.
func (c *IMAP) Close() error { return c.conn.Close() }

// Do sends a command and reads up to its completion.
func (c *IMAP) Do(command string) error {
	if err := c.conn.SetDeadline(time.Now().Add(imapPatience)); err != nil {
		return err
	}
	c.tag++
	tag := fmt.Sprintf("a%d ", c.tag)
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		// A line that ends with {count} goes on after so many bytes.
		if open := strings.LastIndexByte(line, '{'); open >= 0 && strings.HasSuffix(line, "}") {
			n, err := strconv.ParseInt(line[open+1:len(line)-1], 10, 64)
			if err != nil {
				return fmt.Errorf("imap: %q: %w", line, err)
			}
			if _, err := io.CopyN(io.Discard, c.r, n); err != nil {
				return err
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				return fmt.Errorf("imap: %.20s: %s", command, rest)
			}
			return nil
		}
	}
}

// Append puts a message into a mailbox.
func (c *IMAP) Append(mailbox, message string) error {
	return c.Do(fmt.Sprintf("APPEND %s {%d+}\r\n%s", mailbox, len(message), message))
}
