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

// Courier is a connection to the message relay of testbed/apps/courier; not
// safe for concurrent use.
type Courier struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialCourier connects to host:port.
func DialCourier(addr string) (*Courier, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return NewCourier(conn), nil
}

// NewCourier speaks over a connection that is there.
func NewCourier(conn net.Conn) *Courier { return &Courier{conn: conn, r: bufio.NewReader(conn)} }

// Close closes the connection.
func (c *Courier) Close() error { return c.conn.Close() }

// Send sends a command with its headers (name: value) and body, and waits for
// nothing: PUB gets the body's length by itself.
func (c *Courier) Send(command string, headers []string, body string) error {
	var b strings.Builder
	b.WriteString(command)
	if strings.HasPrefix(command, "PUB ") {
		b.WriteString(" " + strconv.Itoa(len(body)))
	}
	b.WriteByte('\n')
	for _, h := range headers {
		b.WriteString(h)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(body)
	if err := c.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, b.String())
	return err
}

// Do sends a command and returns the first line of its answer. That the relay
// has nothing, or won't, is an answer, too.
func (c *Courier) Do(command string, headers []string, body string) (string, error) {
	if err := c.Send(command, headers, body); err != nil {
		return "", err
	}
	return c.Receive(timeout)
}

// Receive reads an answer or a message and returns its first line.
func (c *Courier) Receive(patience time.Duration) (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\n")
	var topic string
	var id, headers, body int64
	switch word, _, _ := strings.Cut(line, " "); word {
	case "OK", "ERR", "NONE":
		return line, nil
	case "MSG":
		if _, err := fmt.Sscanf(line, "MSG %s %d %d %d", &topic, &id, &headers, &body); err != nil {
			return "", fmt.Errorf("courier: %q: %w", line, err)
		}
		_, err := io.CopyN(io.Discard, c.r, headers+body)
		return line, err
	}
	return "", fmt.Errorf("courier: unknown answer %q", line)
}

// CourierAdmin sends one command to the relay's admin port and returns the
// answer.
func CourierAdmin(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	var answer strings.Builder
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\n" {
			break
		}
		answer.WriteString(line)
	}
	if strings.HasPrefix(answer.String(), "error") {
		return "", fmt.Errorf("courier: %s: %s", command, strings.TrimSpace(answer.String()))
	}
	return answer.String(), nil
}
