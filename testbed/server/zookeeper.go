package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

const zookeeperJar = "/usr/share/java/zookeeper.jar"

// StartZooKeeper starts Debian's ZooKeeper, alone. It takes the commands of four
// letters that monitoring uses, all of them.
func StartZooKeeper(ctx context.Context) (*Server, error) {
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(zookeeperJar); err != nil {
		return nil, fmt.Errorf("%w: run `make deps-all`", err)
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("zookeeper")
	if err != nil {
		return nil, err
	}
	err = writeAll(dir, map[string]string{"zoo.cfg": fmt.Sprintf(`tickTime=2000
dataDir=%s/data
clientPortAddress=127.0.0.1
clientPort=%d
admin.enableServer=false
maxClientCnxns=0
4lw.commands.whitelist=*
`, dir, port(addr))})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	log := filepath.Join(dir, "zookeeper.log")
	p, err := proc.Start(proc.Options{
		Path: java, Dir: dir, Env: []string{"OTEL_SERVICE_NAME=zookeeper"}, Output: log,
		Args: append(append([]string{}, jvmFlags...),
			"-cp", zookeeperJar, "org.apache.zookeeper.server.ZooKeeperServerMain", filepath.Join(dir, "zoo.cfg")),
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: "zookeeper " + zookeeperVersion() + " on " + version(java, "-version"), beside: keepPerfMap}
	if err := s.waitReady(ctx, log, func() error { return zookeeperServes(addr) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// zookeeperServes asks for a few words about the server, which listens before
// it takes sessions.
func zookeeperServes(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "srvr"); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !strings.HasPrefix(string(answer), "Zookeeper version") {
		err = fmt.Errorf("%q", answer)
	}
	return err
}

// zookeeperVersion is in the name of a library: asking ZooKeeper takes a JVM.
func zookeeperVersion() string {
	found, _ := filepath.Glob("/usr/share/java/zookeeper-[0-9]*.jar")
	if len(found) == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "zookeeper-"), ".jar")
}
