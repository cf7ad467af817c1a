// Package host makes several hosts of one machine: each is a network
// namespace with an address, a name and a machine id of its own, and all are
// on one bridge. Their processes are still in one tree of /proc.
package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// Host is one of them. A nil Host is the machine itself.
type Host struct {
	// Name is its host name, IP its address.
	Name, IP string

	namespace, machineID string
}

// Network is a bridge and the hosts on it.
type Network struct {
	// IP is the machine's own address on the bridge.
	IP    string
	Hosts map[string]*Host

	bridge, dir string
}

// subnet is the first three bytes of all addresses; nothing outside this
// machine is ever reached by them.
const subnet = "10.203.77."

// Up makes a network of hosts with the given names. Down must be called,
// whatever becomes of it. It needs root.
func Up(names ...string) (*Network, error) {
	dir, err := os.MkdirTemp("", "perfscope-hosts-")
	if err != nil {
		return nil, err
	}
	// Names of interfaces are short: the process makes them unique.
	n := &Network{IP: subnet + "1", Hosts: map[string]*Host{}, bridge: fmt.Sprintf("psb%d", os.Getpid()), dir: dir}
	err = run(
		[]string{"link", "add", n.bridge, "type", "bridge"},
		[]string{"addr", "add", n.IP + "/24", "dev", n.bridge},
		[]string{"link", "set", n.bridge, "up"},
	)
	for i, name := range names {
		if err == nil {
			err = n.add(i, name)
		}
	}
	if err != nil {
		return nil, errors.Join(err, n.Down())
	}
	return n, nil
}

func (n *Network) add(i int, name string) error {
	h := &Host{
		Name: name, IP: fmt.Sprintf("%s%d", subnet, 11+i), namespace: fmt.Sprintf("ps%d-%s", os.Getpid(), name),
		machineID: filepath.Join(n.dir, name),
	}
	if err := os.WriteFile(h.machineID, fmt.Appendf(nil, "%032x\n", 0xfeed0000+i), 0o644); err != nil {
		return err
	}
	outside := fmt.Sprintf("ps%dv%d", os.Getpid(), i)
	if err := run([]string{"netns", "add", h.namespace}); err != nil {
		return err
	}
	n.Hosts[name] = h
	return run(
		[]string{"link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", h.namespace},
		[]string{"link", "set", outside, "master", n.bridge},
		[]string{"link", "set", outside, "up"},
		[]string{"-n", h.namespace, "addr", "add", h.IP + "/24", "dev", "eth0"},
		[]string{"-n", h.namespace, "link", "set", "eth0", "up"},
		[]string{"-n", h.namespace, "link", "set", "lo", "up"},
	)
}

// Down removes the network. The processes on it must have ended.
func (n *Network) Down() error {
	errs := []error{os.RemoveAll(n.dir)}
	for _, h := range n.Hosts {
		errs = append(errs, run([]string{"netns", "del", h.namespace}))
	}
	return errors.Join(append(errs, run([]string{"link", "del", n.bridge}))...)
}

func run(commands ...[]string) error {
	for _, args := range commands {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// Addr is an address to listen on: a port of the host, or of this machine's
// loopback interface a free one.
func (h *Host) Addr(port int) (string, error) {
	if h != nil {
		return net.JoinHostPort(h.IP, fmt.Sprint(port)), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Command is how a program is started on the host, as an account if one is
// named. The program keeps the process id that it is started with.
func (h *Host) Command(path string, args []string, account string) (string, []string) {
	if h == nil {
		return path, args
	}
	const enter = `echo "$1" >/proc/sys/kernel/hostname && mount --bind "$2" /etc/machine-id && shift 2 && exec "$@"`
	inside := []string{"netns", "exec", h.namespace, "unshare", "--uts", "sh", "-c", enter, "sh", h.Name, h.machineID}
	if account != "" {
		group := account
		if u, err := user.Lookup(account); err == nil {
			group = u.Gid // else setpriv says that there is no such account
		}
		inside = append(inside, "setpriv", "--reuid", account, "--regid", group, "--clear-groups")
	}
	return "ip", append(append(inside, path), args...)
}
