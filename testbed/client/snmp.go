package client

import (
	"net"
	"strconv"
	"time"

	"github.com/gosnmp/gosnmp"
)

// SNMP asks an agent of the Simple Network Management Protocol, version 2c, as the
// community "public"; not safe for concurrent use.
type SNMP struct{ agent *gosnmp.GoSNMP }

// DialSNMP opens a socket for host:port; an answer that takes longer than patience is lost.
func DialSNMP(addr string, patience time.Duration) (*SNMP, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	agent := &gosnmp.GoSNMP{
		Target: host, Port: uint16(number), Transport: "udp", Community: "public", Version: gosnmp.Version2c,
		Timeout: patience, MaxOids: gosnmp.MaxOids,
	}
	return &SNMP{agent}, agent.Connect()
}

// Close closes the socket.
func (c *SNMP) Close() error { return c.agent.Conn.Close() }

// Get asks for the values of some objects.
func (c *SNMP) Get(objects ...string) error {
	_, err := c.agent.Get(objects)
	return err
}
