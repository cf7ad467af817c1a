package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// The types of FastCGI's records that a client needs.
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
)

// FastCGI makes a GET request for a script of the server at addr, over a
// connection of its own, and returns what the script wrote, its headers first.
// The answer must come within patience.
func FastCGI(addr string, patience time.Duration, params map[string]string) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var pairs, request bytes.Buffer
	for name, value := range params {
		for _, s := range []string{name, value} {
			_ = binary.Write(&pairs, binary.BigEndian, uint32(len(s))|1<<31)
		}
		pairs.WriteString(name + value)
	}
	fcgiRecord(&request, fcgiBegin, []byte{0, 1 /* responder */, 0, 0, 0, 0, 0, 0})
	fcgiRecord(&request, fcgiParams, pairs.Bytes())
	fcgiRecord(&request, fcgiParams, nil)
	fcgiRecord(&request, fcgiStdin, nil)
	if _, err := conn.Write(request.Bytes()); err != nil {
		return nil, err
	}
	var answer bytes.Buffer
	for {
		var header [8]byte // version, type, id, length of content and padding
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return nil, err
		}
		content := make([]byte, int(binary.BigEndian.Uint16(header[4:]))+int(header[6]))
		if _, err := io.ReadFull(conn, content); err != nil {
			return nil, err
		}
		switch header[1] {
		case fcgiStdout:
			answer.Write(content[:len(content)-int(header[6])])
		case fcgiEnd:
			if bytes.HasPrefix(answer.Bytes(), []byte("Status: 5")) {
				return nil, fmt.Errorf("fastcgi: %.40s", answer.Bytes())
			}
			return answer.Bytes(), nil
		}
	}
}

func fcgiRecord(w *bytes.Buffer, kind byte, content []byte) {
	w.Write([]byte{1, kind, 0, 1, byte(len(content) >> 8), byte(len(content)), 0, 0})
	w.Write(content)
}
