package client

import (
	"crypto/md5" // the protocol's own (RFC 2865)
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// The numbers of RADIUS that a client needs.
const (
	radiusRequest  = 1
	radiusAccept   = 2
	radiusUser     = 1
	radiusPassword = 2
	radiusHeader   = 20
)

// RADIUS asks a RADIUS server over a UDP socket of its own; not safe for
// concurrent use.
type RADIUS struct {
	conn   net.Conn
	secret string
	id     byte
}

// DialRADIUS opens a socket for host:port; secret is shared with the server.
func DialRADIUS(addr, secret string) (*RADIUS, error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	return &RADIUS{conn: conn, secret: secret}, nil
}

// Close closes the socket.
func (c *RADIUS) Close() error { return c.conn.Close() }

// Login asks for access. A refusal is an error; password has at most 16 bytes.
func (c *RADIUS) Login(user, password string) error {
	c.id++
	message := make([]byte, radiusHeader, 256)
	message[0], message[1] = radiusRequest, c.id
	if _, err := rand.Read(message[4:radiusHeader]); err != nil {
		return err
	}
	message = append(message, radiusUser, byte(2+len(user)))
	message = append(message, user...)
	hidden := md5.Sum(append([]byte(c.secret), message[4:radiusHeader]...))
	for i := range min(len(password), len(hidden)) {
		hidden[i] ^= password[i]
	}
	message = append(message, radiusPassword, byte(2+len(hidden)))
	message = append(message, hidden[:]...)
	binary.BigEndian.PutUint16(message[2:], uint16(len(message)))
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(message); err != nil {
		return err
	}
	return c.accepted()
}

func (c *RADIUS) accepted() error {
	answer := make([]byte, 4096)
	for {
		n, err := c.conn.Read(answer)
		if err != nil {
			return err
		}
		if n < radiusHeader || answer[1] != c.id {
			continue // late
		}
		if answer[0] != radiusAccept {
			return fmt.Errorf("radius: no access, code %d", answer[0])
		}
		return nil
	}
}
