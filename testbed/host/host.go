// Package host makes several hosts of one machine: each is a network
// namespace with an address, a name and a machine id of its own, and all are
// on one bridge. Their processes are still in one tree of /proc.
package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Host is one of them. A nil Host is the machine itself.
type Host struct {
	// Name is its host name, IP its address.
	Name, IP string

	// ID is its machine id.
	ID                   string
	namespace, machineID string
	// outside is the end of its link at the bridge.
	outside string
}

// Network is a bridge and the hosts on it.
type Network struct {
	// IP is the machine's own address on the bridge.
	IP    string
	Hosts map[string]*Host

	// bridge is its interface, subnet the first three bytes of all addresses.
	bridge, subnet, dir string
}

// firstSubnet and subnets are those that networks are made of, by their third byte;
// nothing outside this machine is ever reached by them.
const firstSubnet, subnets = 77, 100

// Up makes a network of hosts with the given names. Down must be called,
// whatever becomes of it. It needs root.
func Up(names ...string) (*Network, error) {
	dir, err := os.MkdirTemp("", "perfscope-hosts-")
	if err != nil {
		return nil, err
	}
	n := &Network{Hosts: map[string]*Host{}, dir: dir}
	if err := n.reserve(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	err = run(
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

// reserve takes the first subnet whose bridge is not there yet: networks of other
// processes are beside it, and an interface's name is there once.
func (n *Network) reserve() error {
	var err error
	for i := range subnets {
		n.bridge = fmt.Sprintf("psb%d", firstSubnet+i)
		if err = run([]string{"link", "add", n.bridge, "type", "bridge"}); err == nil {
			n.subnet = fmt.Sprintf("10.203.%d.", firstSubnet+i)
			n.IP = n.subnet + "1"
			return nil
		}
		if _, taken := net.InterfaceByName(n.bridge); taken != nil {
			break // it failed for another reason
		}
	}
	return err
}

func (n *Network) add(i int, name string) error {
	// Names of interfaces are short: the subnet makes them unique.
	unique := strings.TrimPrefix(n.bridge, "psb")
	h := &Host{
		Name: name, IP: fmt.Sprintf("%s%d", n.subnet, 11+i), namespace: "ps" + unique + "-" + name,
		ID: fmt.Sprintf("%032x", 0xfeed0000+i), machineID: filepath.Join(n.dir, name),
	}
	if err := os.WriteFile(h.machineID, []byte(h.ID+"\n"), 0o644); err != nil {
		return err
	}
	outside := fmt.Sprintf("ps%sv%d", unique, i)
	if err := run([]string{"netns", "add", h.namespace}); err != nil {
		return err
	}
	n.Hosts[name] = h
	if err := run([]string{"link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", h.namespace}); err != nil {
		return err
	}
	h.outside = outside
	return run(
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
		// A namespace goes with its interfaces only later, when their names are taken again.
		if h.outside != "" {
			errs = append(errs, run([]string{"link", "del", h.outside}))
		}
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
	return freeAddr()
}

// handedOut has the ports that freeAddr returned: who asked may not listen yet.
var handedOut sync.Map

// freeAddr returns a loopback address nothing listens on. Its port is below those that
// the kernel gives to clients: a connection of a load must not take it before the
// server listens.
func freeAddr() (string, error) {
	const lowest, below, tries = 10240, 32768, 1000
	var refused error
	for range tries {
		p := lowest + rand.IntN(below-lowest)
		if _, before := handedOut.LoadOrStore(p, true); before {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			refused = err
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("no free port from %d to %d after %d tries: %w", lowest, below-1, tries, refused)
}

// Network is the file of its network namespace.
func (h *Host) Network() string { return filepath.Join("/run/netns", h.namespace) }

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
