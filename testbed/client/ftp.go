package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// FTP is one session; not safe for concurrent use.
type FTP struct {
	conn net.Conn
	text *textproto.Conn
}

// DialFTP connects to host:port and logs in.
func DialFTP(addr, user, password string) (*FTP, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := &FTP{conn, textproto.NewConn(conn)}
	if err = conn.SetDeadline(time.Now().Add(timeout)); err == nil {
		_, _, err = c.text.ReadResponse(220)
	}
	if err == nil {
		_, err = c.do(331, "USER "+user)
	}
	if err == nil {
		_, err = c.do(230, "PASS "+password)
	}
	if err == nil {
		_, err = c.do(200, "TYPE I")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// Close closes the session.
func (c *FTP) Close() error {
	_, err := c.do(221, "QUIT")
	return errors.Join(err, c.conn.Close())
}

// List returns the listing of the working directory.
func (c *FTP) List() (string, error) {
	var listing strings.Builder
	err := c.transfer("LIST", func(data net.Conn) error {
		_, err := io.Copy(&listing, data)
		return err
	})
	return listing.String(), err
}

// Retrieve reads a file to its end.
func (c *FTP) Retrieve(name string) (int64, error) {
	var size int64
	err := c.transfer("RETR "+name, func(data net.Conn) (err error) {
		size, err = io.Copy(io.Discard, data)
		return err
	})
	return size, err
}

// Store writes a file.
func (c *FTP) Store(name, content string) error {
	return c.transfer("STOR "+name, func(data net.Conn) error {
		_, err := io.WriteString(data, content)
		return err
	})
}

func (c *FTP) transfer(command string, move func(net.Conn) error) error {
	answer, err := c.do(229, "EPSV")
	if err != nil {
		return err
	}
	var port int
	if i := strings.Index(answer, "(|||"); i < 0 {
		return fmt.Errorf("ftp: no port in %q", answer)
	} else if _, err := fmt.Sscanf(answer[i:], "(|||%d|)", &port); err != nil {
		return err
	}
	data, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), timeout)
	if err != nil {
		return err
	}
	defer data.Close()
	if err := data.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.do(150, command); err != nil {
		return err
	}
	if err := move(data); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	_, _, err = c.text.ReadResponse(226)
	return err
}

// do sends a command and expects a code.
func (c *FTP) do(code int, command string) (string, error) {
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if err := c.text.PrintfLine("%s", command); err != nil {
		return "", err
	}
	_, message, err := c.text.ReadResponse(code)
	return message, err
}
