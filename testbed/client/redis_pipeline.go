package client

import (
	"strconv"
	"time"
)

// Pipeline sends several commands at once and reads their replies.
func (c *Redis) Pipeline(commands ...[]string) error {
	c.buf = c.buf[:0]
	for _, args := range commands {
		c.buf = appendCommand(c.buf, args)
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	// A failed command leaves the connection out of step: the caller closes
	// it.
	for range commands {
		if _, err := c.reply(); err != nil {
			return err
		}
	}
	return nil
}

func appendCommand(buf []byte, args []string) []byte {
	buf = append(buf, '*')
	buf = strconv.AppendInt(buf, int64(len(args)), 10)
	buf = append(buf, "\r\n"...)
	for _, arg := range args {
		buf = append(buf, '$')
		buf = strconv.AppendInt(buf, int64(len(arg)), 10)
		buf = append(buf, "\r\n"...)
		buf = append(buf, arg...)
		buf = append(buf, "\r\n"...)
	}
	return buf
}
