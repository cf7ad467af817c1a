package client

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Beanstalkd is a connection to a beanstalkd; not safe for concurrent use.
// https://github.com/beanstalkd/beanstalkd/blob/v1.12/doc/protocol.txt
type Beanstalkd struct {
	conn net.Conn
	r    *bufio.Reader
}

// DialBeanstalkd connects to host:port.
func DialBeanstalkd(addr string) (*Beanstalkd, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Beanstalkd{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Beanstalkd) Close() error { return c.conn.Close() }

// Tube makes a tube the one that jobs are put into and taken from; the default tube is
// taken from as well.
func (c *Beanstalkd) Tube(name string) error {
	if err := c.ask("use "+name+"\r\n", "USING"); err != nil {
		return err
	}
	return c.Watch(name)
}

// Watch has jobs of a tube taken, too, which makes the tube if there is none.
func (c *Beanstalkd) Watch(name string) error { return c.ask("watch "+name+"\r\n", "WATCHING") }

// Job puts a job, takes the next one and deletes it.
func (c *Beanstalkd) Job(body string) error {
	if err := c.ask(fmt.Sprintf("put 10 0 60 %d\r\n%s\r\n", len(body), body), "INSERTED"); err != nil {
		return err
	}
	if err := c.say("reserve-with-timeout 1\r\n"); err != nil {
		return err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	var id, size int
	if _, err := fmt.Sscanf(line, "RESERVED %d %d", &id, &size); err != nil {
		return fmt.Errorf("reserve: %s", strings.TrimSpace(line))
	}
	if _, err := c.r.Discard(size + 2); err != nil {
		return err
	}
	return c.ask(fmt.Sprintf("delete %d\r\n", id), "DELETED")
}

func (c *Beanstalkd) say(text string) error {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, text)
	return err
}

func (c *Beanstalkd) ask(text, answer string) error {
	if err := c.say(text); err != nil {
		return err
	}
	line, err := c.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, answer) {
		err = fmt.Errorf("%s: %s", strings.TrimSpace(text), strings.TrimSpace(line))
	}
	return err
}
