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

// The packets of Gearman's protocol that a client and a worker need:
// http://gearman.org/protocol/.
const (
	gearmanCanDo        = 1
	gearmanJobCreated   = 8
	gearmanGrabJob      = 9
	gearmanNoJob        = 10
	gearmanJobAssign    = 11
	gearmanWorkComplete = 13
	gearmanSubmitJobBg  = 18
)

// Gearman is a connection to a Gearman server, as a client and as a worker; not safe for
// concurrent use.
type Gearman struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialGearman connects to host:port.
func DialGearman(addr string) (*Gearman, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Gearman{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Gearman) Close() error { return c.conn.Close() }

// CanDo says that this connection works on jobs of a function.
func (c *Gearman) CanDo(function string) error { return c.send(gearmanPacket(gearmanCanDo, function)) }

// Submit has background jobs of a function queued, which have the unique identifiers.
func (c *Gearman) Submit(function string, unique ...string) error {
	var packets []byte
	for _, u := range unique {
		packets = append(packets, gearmanPacket(gearmanSubmitJobBg, function, u, "a job")...)
	}
	if err := c.send(packets); err != nil {
		return err
	}
	for range unique {
		if kind, _, err := c.receive(); err != nil || kind != gearmanJobCreated {
			return fmt.Errorf("gearman: answer %d to a job: %w", kind, err)
		}
	}
	return nil
}

// Work takes a job, if there is one, and says that it is done.
func (c *Gearman) Work() error {
	if err := c.send(gearmanPacket(gearmanGrabJob)); err != nil {
		return err
	}
	kind, data, err := c.receive()
	switch {
	case err != nil || kind == gearmanNoJob:
		return err
	case kind != gearmanJobAssign:
		return fmt.Errorf("gearman: answer %d to a request for a job", kind)
	}
	handle, _, _ := bytes.Cut(data, []byte{0})
	return c.send(gearmanPacket(gearmanWorkComplete, string(handle), ""))
}

func (c *Gearman) send(packets []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(packets)
	return err
}

func (c *Gearman) receive() (kind uint32, data []byte, err error) {
	var head [12]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[8:])
	if string(head[:4]) != "\x00RES" || size > maxMessage {
		return 0, nil, fmt.Errorf("gearman: no response: %q", head)
	}
	data = make([]byte, size)
	_, err = io.ReadFull(c.r, data)
	return binary.BigEndian.Uint32(head[4:]), data, err
}

func gearmanPacket(kind uint32, args ...string) []byte {
	var data []byte
	for i, a := range args {
		if i > 0 {
			data = append(data, 0)
		}
		data = append(data, a...)
	}
	packet := binary.BigEndian.AppendUint32([]byte("\x00REQ"), kind)
	return append(binary.BigEndian.AppendUint32(packet, uint32(len(data))), data...)
}
