package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// STOMP is a connection to a message broker, protocol 1.2; not safe for
// concurrent use.
type STOMP struct {
	conn     net.Conn
	r        *bufio.Reader
	receipts int
}

// DialSTOMP connects to host:port; name is the client's and must be its own.
func DialSTOMP(addr, name string) (*STOMP, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &STOMP{conn: conn, r: bufio.NewReader(conn)}
	if err = c.send("CONNECT", "accept-version:1.2\nhost:localhost\nclient-id:"+name+"\n", ""); err == nil {
		err = c.wait("CONNECTED")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Close closes the connection.
func (c *STOMP) Close() error { return c.conn.Close() }

// Subscribe has a topic's messages sent, without acknowledgements; those that
// come while it is not connected are kept for it (activemq's durable topics).
func (c *STOMP) Subscribe(topic string) error {
	return c.confirmed("SUBSCRIBE", "id:0\nack:auto\nactivemq.subscriptionName:orders\ndestination:"+topic+"\n", "")
}

// Send sends a message and waits until the broker has it, on its disk if it is
// persistent.
func (c *STOMP) Send(destination, body string, persistent bool) error {
	return c.confirmed("SEND", fmt.Sprintf("destination:%s\npersistent:%t\n", destination, persistent), body)
}

func (c *STOMP) confirmed(command, headers, body string) error {
	c.receipts++
	if err := c.send(command, fmt.Sprintf("%sreceipt:%d\n", headers, c.receipts), body); err != nil {
		return err
	}
	return c.wait("RECEIPT")
}

func (c *STOMP) send(command, headers, body string) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.conn, "%s\n%s\n%s\x00", command, headers, body)
	return err
}

// wait reads frames until one is of the kind; messages that come before are
// dropped. Bodies must not hold a zero byte.
func (c *STOMP) wait(kind string) error {
	for {
		frame, err := c.r.ReadString(0)
		if err != nil {
			return err
		}
		frame = strings.TrimLeft(strings.TrimSuffix(frame, "\x00"), "\n")
		head, _, _ := strings.Cut(frame, "\n\n")
		switch command, _, _ := strings.Cut(head, "\n"); command {
		case kind:
			return nil
		case "ERROR":
			return fmt.Errorf("stomp: %s", head)
		}
	}
}
