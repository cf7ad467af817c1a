package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// What is asked of ZooKeeper, by its number.
const (
	zookeeperCreate   = 1
	zookeeperGet      = 4
	zookeeperSet      = 5
	zookeeperChildren = 8
	zookeeperPing     = 11
	zookeeperRewatch  = 101
)

// zookeeperEvent is where the id of a request would be, in what is sent because
// a watched node has changed.
const zookeeperEvent = 1<<32 - 1

// ZooKeeper is a session; not safe for concurrent use.
type ZooKeeper struct {
	conn net.Conn
	r    *bufio.Reader
	id   uint32
}

// DialZooKeeper opens a session at host:port.
func DialZooKeeper(addr string) (*ZooKeeper, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &ZooKeeper{conn: conn, r: bufio.NewReader(conn)}
	hello := make([]byte, 12, 64)                        // version, last transaction seen
	hello = binary.BigEndian.AppendUint32(hello, 30_000) // timeout in ms
	hello = binary.BigEndian.AppendUint64(hello, 0)      // no session yet
	hello = zookeeperBytes(hello, make([]byte, 16) /* password */)
	err = conn.SetDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = conn.Write(zookeeperBytes(nil, append(hello, 0 /* writes, too */)))
	}
	if err == nil {
		_, err = c.packet()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Close closes the connection; the session ends later.
func (c *ZooKeeper) Close() error { return c.conn.Close() }

// Create makes a node that anyone may change; its parent must be there.
func (c *ZooKeeper) Create(path string, data []byte) error {
	body := zookeeperBytes(zookeeperBytes(nil, []byte(path)), data)
	body = binary.BigEndian.AppendUint32(body, 1)    // one entry in its list of who may
	body = binary.BigEndian.AppendUint32(body, 0x1f) // do all
	body = zookeeperBytes(zookeeperBytes(body, []byte("world")), []byte("anyone"))
	_, err := c.do(zookeeperCreate, binary.BigEndian.AppendUint32(body, 0)) // it stays
	return err
}

// Get returns what a node holds, and has the session hear of its next change if
// watch is set.
func (c *ZooKeeper) Get(path string, watch bool) ([]byte, error) {
	answer, err := c.do(zookeeperGet, zookeeperPath(path, watch))
	if err != nil || len(answer) < 4 {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(answer))
	if size < 0 || int(size) > len(answer)-4 {
		return nil, nil
	}
	return answer[4 : 4+size], nil
}

// Set changes what a node holds.
func (c *ZooKeeper) Set(path string, data []byte) error {
	body := zookeeperBytes(zookeeperBytes(nil, []byte(path)), data)
	_, err := c.do(zookeeperSet, binary.BigEndian.AppendUint32(body, 1<<32-1)) // whatever version it has
	return err
}

// Children returns how many nodes are below one.
func (c *ZooKeeper) Children(path string) (int, error) {
	answer, err := c.do(zookeeperChildren, zookeeperPath(path, false))
	if err != nil || len(answer) < 4 {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(answer)), nil
}

// Follow has the session hear of the next change of each of some nodes, as one
// that comes back does, and reads a node again when it has changed, until the
// connection is closed. It takes the session over.
func (c *ZooKeeper) Follow(paths []string) error {
	body := binary.BigEndian.AppendUint64(nil, 1<<62) // it knows all changes so far
	body = binary.BigEndian.AppendUint32(body, uint32(len(paths)))
	for _, path := range paths {
		body = zookeeperBytes(body, []byte(path))
	}
	body = append(body, make([]byte, 8)...) // nodes that are not there, and parents: none
	if _, err := c.do(zookeeperRewatch, body); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	var writing sync.Mutex
	put := func(kind uint32, body []byte) error {
		writing.Lock()
		defer writing.Unlock()
		return c.put(kind, body)
	}
	go func() {
		for put(zookeeperPing, nil) == nil {
			time.Sleep(5 * time.Second)
		}
	}()
	for {
		packet, err := c.packet()
		if err != nil {
			return err
		}
		// An event has its type, the session's state and the path.
		if len(packet) < 28 || binary.BigEndian.Uint32(packet) != zookeeperEvent {
			continue
		}
		if err := put(zookeeperGet, zookeeperPath(string(packet[28:]), true)); err != nil {
			return err
		}
	}
}

// do sends one request and returns the body of its answer.
func (c *ZooKeeper) do(kind uint32, body []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if err := c.put(kind, body); err != nil {
		return nil, err
	}
	for {
		answer, err := c.packet()
		if err != nil {
			return nil, err
		}
		if len(answer) < 16 {
			return nil, errors.New("zookeeper: an answer without a head")
		}
		if binary.BigEndian.Uint32(answer) != c.id {
			continue // an event
		}
		if code := int32(binary.BigEndian.Uint32(answer[12:])); code != 0 {
			return nil, fmt.Errorf("zookeeper: error %d", code)
		}
		return answer[16:], nil
	}
}

// put sends a request with an id of its own.
func (c *ZooKeeper) put(kind uint32, body []byte) error {
	c.id++
	request := binary.BigEndian.AppendUint32(nil, c.id)
	_, err := c.conn.Write(zookeeperBytes(nil, append(binary.BigEndian.AppendUint32(request, kind), body...)))
	return err
}

// packet reads one.
func (c *ZooKeeper) packet() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return nil, fmt.Errorf("zookeeper: a packet of %d bytes", n)
	}
	answer := make([]byte, n)
	_, err := io.ReadFull(c.r, answer)
	return answer, err
}

// ZooKeeperCommand sends a command of four letters and reads its answer at a
// pace, in bytes per second.
func ZooKeeperCommand(ctx context.Context, addr, command string, pace int) error {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, command); err != nil {
		return err
	}
	part := make([]byte, 8<<10)
	for ctx.Err() == nil {
		if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		n, err := io.ReadFull(conn, part)
		if err != nil {
			return nil // that was all
		}
		time.Sleep(time.Duration(n) * time.Second / time.Duration(pace))
	}
	return ctx.Err()
}

// zookeeperPath is the body of a request about one node.
func zookeeperPath(path string, watch bool) []byte {
	body := append(zookeeperBytes(nil, []byte(path)), 0)
	if watch {
		body[len(body)-1] = 1
	}
	return body
}

// zookeeperBytes appends a string of bytes with its length.
func zookeeperBytes(to, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(b))), b...)
}
