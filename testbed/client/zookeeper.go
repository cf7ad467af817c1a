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

// What is asked of ZooKeeper, by its number.
const (
	zookeeperCreate   = 1
	zookeeperGet      = 4
	zookeeperSet      = 5
	zookeeperChildren = 8
)

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
	if _, err := c.exchange(append(hello, 0 /* writes, too */)); err != nil {
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

// Get returns what a node holds.
func (c *ZooKeeper) Get(path string) ([]byte, error) {
	answer, err := c.do(zookeeperGet, append(zookeeperBytes(nil, []byte(path)), 0))
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
	answer, err := c.do(zookeeperChildren, append(zookeeperBytes(nil, []byte(path)), 0))
	if err != nil || len(answer) < 4 {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(answer)), nil
}

// do sends one request and returns the body of its answer.
func (c *ZooKeeper) do(kind uint32, body []byte) ([]byte, error) {
	c.id++
	request := binary.BigEndian.AppendUint32(nil, c.id)
	answer, err := c.exchange(append(binary.BigEndian.AppendUint32(request, kind), body...))
	if err != nil {
		return nil, err
	}
	if len(answer) < 16 || binary.BigEndian.Uint32(answer) != c.id {
		return nil, errors.New("zookeeper: not the answer that is waited for")
	}
	if code := int32(binary.BigEndian.Uint32(answer[12:])); code != 0 {
		return nil, fmt.Errorf("zookeeper: error %d", code)
	}
	return answer[16:], nil
}

// exchange sends one packet and reads the next.
func (c *ZooKeeper) exchange(packet []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(zookeeperBytes(nil, packet)); err != nil {
		return nil, err
	}
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

// zookeeperBytes appends a string of bytes with its length.
func zookeeperBytes(to, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(b))), b...)
}
