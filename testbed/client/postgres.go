package client

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// maxMessage bounds one message of the server, in bytes.
const maxMessage = 16 << 20

// Postgres is a connection to a PostgreSQL server that trusts the account;
// not safe for concurrent use.
type Postgres struct {
	conn     net.Conn
	r        *bufio.Reader
	password string
}

// DialPostgres connects to host:port as an account that needs no password.
func DialPostgres(addr, account, database string) (*Postgres, error) {
	return DialPostgresWith(addr, account, "", database)
}

// DialPostgresWith is DialPostgres with a password, which the server may ask for in clear text.
func DialPostgresWith(addr, account, password, database string) (*Postgres, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &Postgres{conn: conn, r: bufio.NewReader(conn), password: password}
	body := binary.BigEndian.AppendUint32(nil, 3<<16) // protocol 3.0
	for _, s := range []string{"user", account, "database", database} {
		body = append(append(body, s...), 0)
	}
	body = append(body, 0)
	message := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	err = c.send(append(message, body...))
	if err == nil {
		err = c.untilReady()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection.
func (c *Postgres) Close() error { return c.conn.Close() }

// Query runs one statement and drops what it returns.
func (c *Postgres) Query(sql string) error {
	message := append([]byte{'Q'}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(message[1:], uint32(len(sql)+5))
	message = append(append(message, sql...), 0)
	if err := c.send(message); err != nil {
		return err
	}
	return c.untilReady()
}

func (c *Postgres) send(message []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(message)
	return err
}

// untilReady reads messages up to ReadyForQuery; the first error the server
// sent is returned then, so that the connection stays in step.
func (c *Postgres) untilReady() error {
	var failed error
	for {
		var head [5]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			if failed != nil {
				return failed
			}
			return err
		}
		size := binary.BigEndian.Uint32(head[1:])
		if size < 4 || size > maxMessage {
			return fmt.Errorf("postgres: message of %d bytes", size)
		}
		body := make([]byte, size-4)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return err
		}
		switch head[0] {
		case 'Z':
			return failed
		case 'E':
			failed = fmt.Errorf("postgres: %s", errorText(body))
		case 'R':
			if err := c.authenticate(body); err != nil {
				return err
			}
		}
	}
}

// authenticate answers what a server asks of who connects: nothing, or a password in clear text.
func (c *Postgres) authenticate(asked []byte) error {
	const nothing, clearText = 0, 3
	if len(asked) < 4 {
		return fmt.Errorf("postgres: asks with %d bytes who connects", len(asked))
	}
	switch kind := binary.BigEndian.Uint32(asked); {
	case kind == nothing:
		return nil
	case kind == clearText && c.password != "":
		message := binary.BigEndian.AppendUint32([]byte{'p'}, uint32(len(c.password)+5))
		return c.send(append(append(message, c.password...), 0))
	}
	return fmt.Errorf("postgres: wants a password")
}

// errorText takes the message field out of an ErrorResponse.
func errorText(body []byte) string {
	for _, field := range bytes.Split(body, []byte{0}) {
		if len(field) > 1 && field[0] == 'M' {
			return string(field[1:])
		}
	}
	return "unknown error"
}
