package client

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// DNS asks one server over UDP; not safe for concurrent use.
type DNS struct{ conn net.Conn }

// The types of what is asked for.
const (
	DNSTypeA   = 1
	DNSTypeMX  = 15
	DNSTypeTXT = 16
)

// DialDNS gets a socket for host:port.
func DialDNS(addr string) (*DNS, error) {
	conn, err := net.Dial("udp", addr)
	return &DNS{conn}, err
}

// Close closes the socket.
func (c *DNS) Close() error { return c.conn.Close() }

// Ask asks for the records of a name and returns how many there are.
func (c *DNS) Ask(name string, kind uint16, patience time.Duration) (int, error) {
	id := uint16(rand.Uint32())
	question := binary.BigEndian.AppendUint16(nil, id)
	question = append(question, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) // no flags, one question
	for label := range strings.SplitSeq(name, ".") {
		question = append(append(question, byte(len(label))), label...)
	}
	question = append(question, 0)
	question = binary.BigEndian.AppendUint16(question, kind)
	question = binary.BigEndian.AppendUint16(question, 1) // IN
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(question); err != nil {
		return 0, err
	}
	answer := make([]byte, 4096)
	for {
		n, err := c.conn.Read(answer)
		if err != nil {
			return 0, err
		}
		if n < 12 || binary.BigEndian.Uint16(answer) != id {
			continue // it is late
		}
		if code := answer[3] & 0xf; code != 0 && code != 3 /* no such name */ {
			return 0, errors.New("dns: the server failed")
		}
		return int(binary.BigEndian.Uint16(answer[6:])), nil
	}
}
