package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/proc"
)

// StartActiveMQ starts Debian's activemq with its usual store, KahaDB, and a
// connector for STOMP.
func StartActiveMQ(ctx context.Context) (*Server, error) {
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	if _, err := find("/usr/share/activemq/lib/activemq-broker.jar"); err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("activemq")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "activemq.log")
	args := append([]string{}, jvmFlags...)
	args = append(args, "-Dactivemq.home=/usr/share/activemq", "-Dactivemq.base="+dir,
		"-cp", "/usr/share/activemq/lib/*:/usr/share/activemq/lib/optional/*", "org.apache.activemq.console.Main",
		"start", fmt.Sprintf("broker:(stomp://%s)?useJmx=false&persistent=true&dataDirectory=%s/data", addr, dir))
	p, err := proc.Start(proc.Options{Path: java, Args: args, Dir: dir, Env: []string{"OTEL_SERVICE_NAME=activemq"}, Output: log})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go keepPerfMap(p)
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: "activemq " + activeMQVersion() + " on " + version(java, "-version")}
	err = waitReady(ctx, p, log, func() error {
		c, err := client.DialSTOMP(addr, "probe")
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// activeMQVersion is in the name of a library: asking ActiveMQ takes a JVM.
func activeMQVersion() string {
	found, _ := filepath.Glob("/usr/share/java/activemq-broker-[0-9]*.jar")
	if len(found) == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "activemq-broker-"), ".jar")
}
