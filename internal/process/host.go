package process

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// This file reads what is the host's own: no target has a say in it.

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// pids lists the processes (not the threads) there are now.
func (fs procFS) pids() ([]int32, error) {
	dir, err := os.Open(fs.door.Root())
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w; mount /proc in the collector's namespace", err)
	}
	defer dir.Close()
	var pids []int32
	for len(pids) < maxHostProcesses {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if pid, ok := parsePID(name); ok {
				pids = append(pids, pid)
			}
		}
		if errors.Is(err, io.EOF) {
			return pids, nil
		}
		if err != nil {
			return pids, fmt.Errorf("cannot list processes: %w", err)
		}
	}
	return pids, nil
}

// bootTime is the host's boot in seconds since the epoch.
func (fs procFS) bootTime() (int64, error) {
	path := filepath.Join(fs.door.Root(), "stat")
	data, err := readBounded(path, maxTableBytes)
	if err != nil {
		return 0, fmt.Errorf("cannot read the boot time: %w", err)
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			if err == nil && n >= 0 {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("cannot read the boot time: no btime line in %s", path)
}

// Host identifies the machine.
type Host struct {
	// ID is the host's machine id without dashes, empty when it has none.
	ID string
	// Name is the host's name.
	Name string
	// Addresses are its IP addresses, but for those of the loopback
	// interface; maxAddresses at most.
	Addresses []netip.Addr
}

// maxAddresses bounds the addresses known of a host: one with hundreds of
// container bridges would repeat them in every record.
const maxAddresses = 64

var machineID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ReadHost reads the machine id from the first of the paths that holds one
// (by default /etc/machine-id and /var/lib/dbus/machine-id).
func ReadHost(paths ...string) Host {
	if len(paths) == 0 {
		paths = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}
	}
	var host Host
	for _, path := range paths {
		data, err := readBounded(path, 64)
		if err != nil {
			continue
		}
		if id := strings.TrimSpace(string(data)); machineID.MatchString(id) {
			host.ID = id
			break
		}
	}
	// An unreadable host name is an absent attribute, not an error.
	host.Name, _ = os.Hostname()
	host.Addresses = readAddresses()
	return host
}

// readAddresses are the addresses others can reach this host by; link-local
// ones mean nothing without their interface.
func readAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // an absent attribute, too
	}
	var out []netip.Addr
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if ip := prefix.Addr(); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && len(out) < maxAddresses {
			out = append(out, ip)
		}
	}
	return out
}

// readBootID names this boot of the host: start times in ticks are unique
// within one boot only.
func readBootID(root string) string {
	data, err := readBounded(filepath.Join(root, "sys/kernel/random/boot_id"), 64)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// hostProcesses are in the host's namespaces: the first process, and the kernel's
// own, which a security module lets be looked at more often.
var hostProcesses = []int32{1, 2}

// hostNamespace is the host's namespace of a kind and a process in it, zero where
// that cannot be read.
func (fs procFS) hostNamespace(kind string) (ns string, pid int32) {
	for _, pid := range hostProcesses {
		if ns, err := fs.door.ReadLink(pid, "ns/"+kind); err == nil {
			return ns, pid
		}
	}
	return "", 0
}

// hostNetwork names the network namespace of the host, the collector's own where
// that cannot be read.
func (fs procFS) hostNetwork() string {
	if ns, _ := fs.hostNamespace("net"); ns != "" {
		return ns
	}
	ns, err := os.Readlink(filepath.Join(fs.door.Root(), "self/ns/net"))
	if err != nil {
		return ""
	}
	return ns
}

// HostOptions say what is not read from the host.
type HostOptions struct {
	// Name and ID are used instead of what is found.
	Name, ID string
	// Root is where the host's root directory is mounted; empty takes the
	// collector's own or, where it is in a container, that of the first process.
	Root string
}

// FindHost reads who the host is, also from inside a container that sees the
// host's processes.
func FindHost(o HostOptions) Host { return findHost("/proc", o) }

func findHost(proc string, o HostOptions) Host {
	fs := newProcFS(proc)
	root := o.Root
	if pid := fs.apart("mnt"); root == "" && pid != 0 {
		root = filepath.Join(proc, pidName(pid), "root")
	}
	var host Host
	if root == "" {
		host = ReadHost()
	} else {
		host = ReadHost(filepath.Join(root, "etc/machine-id"), filepath.Join(root, "var/lib/dbus/machine-id"),
			// Where the first process may not be looked at, the host's is mounted here.
			"/etc/machine-id")
	}
	if pid := fs.apart("uts"); root != "" || pid != 0 {
		if name, err := readBounded(filepath.Join(cmp.Or(root, filepath.Join(proc, pidName(pid), "root")), "etc/hostname"), 256); err == nil {
			host.Name = cmp.Or(strings.TrimSpace(string(name)), host.Name)
		}
	}
	if pid := fs.apart("net"); pid != 0 {
		if addresses := fs.addresses(pid); len(addresses) > 0 {
			host.Addresses = addresses
		}
	}
	host.Name, host.ID = cmp.Or(o.Name, host.Name), cmp.Or(o.ID, host.ID)
	return host
}

// apart is a process of the host where that is in another namespace of a kind than
// the collector, zero where it is not.
func (fs procFS) apart(kind string) (pid int32) {
	ns, pid := fs.hostNamespace(kind)
	own, err := os.Readlink(filepath.Join(fs.door.Root(), "self/ns", kind))
	if err != nil || ns == "" || ns == own {
		return 0
	}
	return pid
}
