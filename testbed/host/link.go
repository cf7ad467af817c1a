package host

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Limit has the machine send to the hosts at no more than a rate, as tc(8) writes it
// ("8mbit"), until the network is down.
func (n *Network) Limit(rate string) error {
	out, err := exec.Command("tc", "qdisc", "replace", "dev", n.bridge, "root", "tbf", "rate", rate, "burst", "32k", "latency", "400ms").CombinedOutput()
	if err != nil {
		return fmt.Errorf("tc: %w: %s", err, out)
	}
	return nil
}

// Unlimit ends Limit.
func (n *Network) Unlimit() { _ = exec.Command("tc", "qdisc", "del", "dev", n.bridge, "root").Run() }

// Dial opens a TCP connection from the host.
func (h *Host) Dial(addr string) (net.Conn, error) {
	space, err := os.Open(h.Network())
	if err != nil {
		return nil, err
	}
	defer space.Close()
	// The thread goes back: what it has started would be killed if it ended.
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	runtime.LockOSThread()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	// Dialing an address that needs no lookup makes the socket in this thread.
	conn, err := net.Dial("tcp", addr)
	if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	} // else nobody else may use the thread, and it ends with the goroutine
	return conn, err
}
