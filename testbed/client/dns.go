package client

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
)

// The types of records that are asked for.
const (
	DNSTypeA   = 1
	DNSTypeMX  = 15
	DNSTypeTXT = 16
)

// The other numbers of DNS that a client needs.
const (
	dnsTypeSOA  = 6
	dnsClassIN  = 1
	dnsClassANY = 255
	dnsUpdate   = 5 << 11 // the operation, where the flags are
	dnsNXDomain = 3
)

// DNS asks a name server over a UDP socket of its own; not safe for concurrent
// use.
type DNS struct {
	conn net.Conn
	id   uint16
}

// DialDNS opens a socket for host:port.
func DialDNS(addr string) (*DNS, error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	return &DNS{conn: conn, id: uint16(time.Now().UnixNano())}, nil
}

// Close closes the socket.
func (c *DNS) Close() error { return c.conn.Close() }

// Ask asks for the records of a name. That there is no such name is an answer, too.
func (c *DNS) Ask(name string, kind uint16) error {
	return c.do(0, dnsQuestion(dnsHeader(1, 0), name, kind))
}

// SetAddress replaces the address of a name of a zone, as a DHCP server does
// (RFC 2136).
func (c *DNS) SetAddress(zone, name string, address [4]byte) error {
	message := dnsQuestion(dnsHeader(1, 2), zone, dnsTypeSOA)
	message = dnsRecord(message, name, dnsClassANY, 0, nil) // whatever it had
	message = dnsRecord(message, name, dnsClassIN, 300, address[:])
	return c.do(dnsUpdate, message)
}

// do sends a message and waits for its answer.
func (c *DNS) do(flags uint16, message []byte) error {
	c.id++
	binary.BigEndian.PutUint16(message, c.id)
	binary.BigEndian.PutUint16(message[2:], flags)
	if err := c.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(message); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	for {
		n, err := c.conn.Read(answer)
		if err != nil {
			return err
		}
		if n < 12 || binary.BigEndian.Uint16(answer) != c.id {
			continue // of a question that was given up
		}
		if code := answer[3] & 0xf; code != 0 && code != dnsNXDomain {
			return fmt.Errorf("dns: answer %d", code)
		}
		return nil
	}
}

func dnsHeader(questions, updates uint16) []byte {
	header := make([]byte, 12)
	binary.BigEndian.PutUint16(header[4:], questions)
	binary.BigEndian.PutUint16(header[8:], updates)
	return header
}

func dnsQuestion(message []byte, name string, kind uint16) []byte {
	message = binary.BigEndian.AppendUint16(dnsName(message, name), kind)
	return binary.BigEndian.AppendUint16(message, dnsClassIN)
}

func dnsRecord(message []byte, name string, class uint16, ttl uint32, data []byte) []byte {
	message = binary.BigEndian.AppendUint16(dnsName(message, name), DNSTypeA)
	message = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(message, class), ttl)
	return append(binary.BigEndian.AppendUint16(message, uint16(len(data))), data...)
}

func dnsName(message []byte, name string) []byte {
	for label := range strings.SplitSeq(name, ".") {
		message = append(append(message, byte(len(label))), label...)
	}
	return append(message, 0)
}
