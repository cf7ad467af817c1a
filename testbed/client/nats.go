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

// NATS is a connection to a NATS server, without the features that tests do
// not need. It is not safe for concurrent use.
type NATS struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

// DialNATS connects.
func DialNATS(addr string) (*NATS, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &NATS{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	if _, err := c.r.ReadString('\n'); err != nil { // INFO
		conn.Close()
		return nil, err
	}
	fmt.Fprint(c.w, `CONNECT {"verbose":false,"pedantic":false,"name":"testbed"}`+"\r\n")
	if err := c.Ping(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection.
func (c *NATS) Close() error { return c.conn.Close() }

// Subscribe asks for a subject. Like Unsubscribe and Publish it is buffered:
// Flush or Ping sends it.
func (c *NATS) Subscribe(subject string, id int) { fmt.Fprintf(c.w, "SUB %s %d\r\n", subject, id) }

// Unsubscribe ends a subscription.
func (c *NATS) Unsubscribe(id int) { fmt.Fprintf(c.w, "UNSUB %d\r\n", id) }

// Publish sends a message; reply may be empty.
func (c *NATS) Publish(subject, reply, payload string) {
	if reply != "" {
		reply += " "
	}
	fmt.Fprintf(c.w, "PUB %s %s%d\r\n%s\r\n", subject, reply, len(payload), payload)
}

// Flush sends what is buffered.
func (c *NATS) Flush() error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	return c.w.Flush()
}

// Ping sends what is buffered and waits until the server has taken it.
func (c *NATS) Ping() error {
	fmt.Fprint(c.w, "PING\r\n")
	if err := c.Flush(); err != nil {
		return err
	}
	for {
		line, _, err := c.next(timeout)
		if err != nil {
			return err
		}
		if line == "PONG" {
			return nil
		}
	}
}

// NATSMessage is what a subscription receives.
type NATSMessage struct{ Subject, Reply, Payload string }

// Receive waits for the next message, for a time.
func (c *NATS) Receive(patience time.Duration) (NATSMessage, error) {
	for {
		line, payload, err := c.next(patience)
		if err != nil {
			return NATSMessage{}, err
		}
		fields := strings.Fields(line)
		if fields[0] != "MSG" {
			continue
		}
		m := NATSMessage{Subject: fields[1], Payload: payload}
		if len(fields) == 5 { // MSG subject sid reply size
			m.Reply = fields[3]
		}
		return m, nil
	}
}

// next reads one line, with the payload if it is a message, and answers the
// server's pings.
func (c *NATS) next(patience time.Duration) (line, payload string, err error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", "", err
	}
	for {
		line, err = c.r.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, rest, _ := strings.Cut(line, " "); verb {
		case "PING":
			fmt.Fprint(c.w, "PONG\r\n")
			if err := c.Flush(); err != nil {
				return "", "", err
			}
		case "-ERR":
			return "", "", fmt.Errorf("nats: %s", rest)
		case "MSG":
			size, err := strconv.Atoi(rest[strings.LastIndexByte(rest, ' ')+1:])
			if err != nil {
				return "", "", fmt.Errorf("nats: %q: %w", line, err)
			}
			body := make([]byte, size+2)
			if _, err := io.ReadFull(c.r, body); err != nil {
				return "", "", err
			}
			return line, string(body[:size]), nil
		case "PONG", "INFO":
			return line, "", nil
		}
	}
}
