package client

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// The tags of LDAP's requests and of the answers that are more than a result
// (RFC 4511).
const (
	ldapBind     = 0x60
	ldapSearch   = 0x63
	ldapModify   = 0x66
	ldapCompare  = 0x6e
	ldapEntry    = 0x64
	ldapSequence = 0x30
	ldapSet      = 0x31
	ldapInteger  = 0x02
	ldapString   = 0x04
	ldapEnum     = 0x0a
)

// LDAP is a connection to a directory; not safe for concurrent use.
type LDAP struct {
	conn net.Conn
	r    *bufio.Reader
	id   int
}

// DialLDAP connects to host:port.
func DialLDAP(addr string) (*LDAP, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &LDAP{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *LDAP) Close() error { return c.conn.Close() }

// Bind logs in with a password.
func (c *LDAP) Bind(dn, password string) error {
	_, err := c.do(ber(ldapBind, berNumber(ldapInteger, 3), berString(dn), ber(0x80, []byte(password))))
	return err
}

// Find returns how many entries below base have the value, with the attributes
// that are asked for.
func (c *LDAP) Find(base, attribute, value string, attributes ...string) (int, error) {
	var wanted [][]byte
	for _, a := range attributes {
		wanted = append(wanted, berString(a))
	}
	return c.do(ber(ldapSearch, berString(base), berNumber(ldapEnum, 2 /* the whole tree */), berNumber(ldapEnum, 0),
		berNumber(ldapInteger, 0), berNumber(ldapInteger, 0), []byte{0x01, 1, 0},
		ber(0xa3, berString(attribute), berString(value)), ber(ldapSequence, wanted...)))
}

// Compare asks whether an entry has a value; that it has not is an answer, too.
func (c *LDAP) Compare(dn, attribute, value string) error {
	_, err := c.do(ber(ldapCompare, berString(dn), ber(ldapSequence, berString(attribute), berString(value))))
	return err
}

// Replace gives an attribute of an entry other values.
func (c *LDAP) Replace(dn, attribute string, values ...string) error {
	var set [][]byte
	for _, v := range values {
		set = append(set, berString(v))
	}
	_, err := c.do(ber(ldapModify, berString(dn), ber(ldapSequence, ber(ldapSequence, berNumber(ldapEnum, 2),
		ber(ldapSequence, berString(attribute), ber(ldapSet, set...))))))
	return err
}

// do sends a request and reads up to its result; it returns how many entries
// came before that.
func (c *LDAP) do(request []byte) (entries int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	c.id++
	if _, err := c.conn.Write(ber(ldapSequence, berNumber(ldapInteger, c.id), request)); err != nil {
		return 0, err
	}
	for {
		_, message, err := readBER(c.r)
		if err != nil {
			return entries, err
		}
		// An id of up to four bytes, then the answer.
		if len(message) < 2 || len(message) < int(message[1])+4 {
			return entries, fmt.Errorf("ldap: an answer of %d bytes", len(message))
		}
		answer := message[2+int(message[1]):]
		if answer[0] == ldapEntry {
			entries++
			continue
		}
		return entries, ldapResult(answer)
	}
}

// ldapResult is the error that a result tells of, if any.
func ldapResult(answer []byte) error {
	body := 2
	if answer[1] > 0x80 {
		body += int(answer[1] & 0x7f)
	}
	if len(answer) < body+3 {
		return fmt.Errorf("ldap: a result of %d bytes", len(answer))
	}
	switch code := answer[body+2]; code {
	case 0, 5, 6: // success, a comparison that is false or true
		return nil
	default:
		return fmt.Errorf("ldap: result %d", code)
	}
}

func ber(tag byte, parts ...[]byte) []byte {
	var length int
	for _, p := range parts {
		length += len(p)
	}
	out := []byte{tag}
	switch {
	case length < 0x80:
		out = append(out, byte(length))
	default:
		out = binary.BigEndian.AppendUint32(append(out, 0x84), uint32(length))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func berString(s string) []byte { return ber(ldapString, []byte(s)) }

func berNumber(tag byte, n int) []byte {
	return ber(tag, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

func readBER(r *bufio.Reader) (tag byte, content []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := int(head[1])
	if head[1] >= 0x80 {
		bytes := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(r, bytes); err != nil {
			return 0, nil, err
		}
		length = 0
		for _, b := range bytes {
			length = length<<8 | int(b)
		}
	}
	content = make([]byte, length)
	_, err = io.ReadFull(r, content)
	return head[0], content, err
}
