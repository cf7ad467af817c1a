package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The types of MQTT's packets, with the flags that the protocol asks for.
const (
	mqttConnect     = 0x10
	mqttPublish     = 0x30
	mqttSubscribe   = 0x82
	mqttUnsubscribe = 0xa2
)

// MQTT is a connection to a broker, protocol 3.1.1 with a clean session; not
// safe for concurrent use.
type MQTT struct {
	conn net.Conn
	r    *bufio.Reader
	id   uint16
}

// DialMQTT connects to host:port.
func DialMQTT(addr, name string) (*MQTT, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &MQTT{conn: conn, r: bufio.NewReader(conn)}
	hello := append(mqttString(nil, "MQTT"), 4 /* 3.1.1 */, 2 /* clean session */, 0, 60)
	if _, err := c.do(mqttConnect, mqttString(hello, name)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Close closes the connection.
func (c *MQTT) Close() error { return c.conn.Close() }

// Publish publishes a message and waits until the broker has it. A retained
// one is kept for whoever subscribes later.
func (c *MQTT) Publish(topic string, message []byte, retain bool) error {
	kind := byte(mqttPublish | 1<<1 /* at least once */)
	if retain {
		kind |= 1
	}
	_, err := c.do(kind, append(binary.BigEndian.AppendUint16(mqttString(nil, topic), c.next()), message...))
	return err
}

// Look subscribes to a filter, ends the subscription, and returns how many
// messages it brought.
func (c *MQTT) Look(filter string) (int, error) {
	before, err := c.do(mqttSubscribe, append(mqttString(binary.BigEndian.AppendUint16(nil, c.next()), filter), 0))
	if err != nil {
		return before, err
	}
	after, err := c.do(mqttUnsubscribe, mqttString(binary.BigEndian.AppendUint16(nil, c.next()), filter))
	return before + after, err
}

func (c *MQTT) next() uint16 {
	c.id++
	if c.id == 0 {
		c.id++
	}
	return c.id
}

func mqttString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// do sends a packet and reads up to its acknowledgement; it returns how many
// messages came before that.
func (c *MQTT) do(kind byte, body []byte) (messages int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...)); err != nil {
		return 0, err
	}
	for {
		kind, err := c.r.ReadByte()
		if err != nil {
			return messages, err
		}
		length, err := binary.ReadUvarint(c.r)
		if err != nil {
			return messages, err
		}
		content := make([]byte, length)
		if _, err := io.ReadFull(c.r, content); err != nil {
			return messages, err
		}
		switch kind & 0xf0 {
		case mqttPublish:
			messages++
		case mqttConnect + 0x10:
			if content[1] != 0 {
				return 0, fmt.Errorf("mqtt: refused with %d", content[1])
			}
			return messages, nil
		default: // an acknowledgement: there is one request at a time
			return messages, nil
		}
	}
}
