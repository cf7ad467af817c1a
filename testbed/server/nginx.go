package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/perfscope/perfscope/testbed/proc"
)

// NginxFiles is how many files StartNginx puts under its root, named
// /0.bin, /1.bin, … between 1 and 256 KiB.
const NginxFiles = 64

// NginxConfig is what is added to nginx's configuration, by block.
type NginxConfig struct{ Main, HTTP, Server string }

// StartNginx starts Debian's nginx with two workers, which serve files.
// directives are added to its server block.
func StartNginx(ctx context.Context, directives ...string) (*Server, error) {
	return StartNginxWith(ctx, NginxConfig{Server: strings.Join(directives, " ")})
}

// StartNginxWith is StartNginx with additions to any block.
func StartNginxWith(ctx context.Context, added NginxConfig) (*Server, error) {
	path, err := find("nginx")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("nginx")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Server, error) {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := writeFiles(filepath.Join(dir, "www")); err != nil {
		return fail(err)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user www-data;"
	}
	conf := fmt.Sprintf(`%s
daemon off;
worker_processes 2;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log warn;
%[5]s
events { worker_connections 512; }
http {
  access_log %[2]s/access.log;
  sendfile on;
  tcp_nopush on;
  open_file_cache off;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  server { listen %[3]s; root %[2]s/www; %[4]s }
  %[6]s
}
`, user, dir, addr, added.Server, added.Main, added.HTTP)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "nginx.log")
	p, err := proc.Start(proc.Options{
		Path: path, Args: []string{"-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log")}, Dir: dir, Output: log,
	})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-v")}
	err = s.waitReady(ctx, log, func() error {
		c, err := net.Dial("tcp", addr)
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

// ReloadNginx replaces a piece of the configuration and lets nginx read it:
// new workers take over, the old ones finish what they have begun.
func ReloadNginx(s *Server, old, now string) error {
	file := filepath.Join(s.Dir, "nginx.conf")
	conf, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(conf), old) {
		return fmt.Errorf("nginx.conf has no %q", old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(conf), old, now, 1)), 0o644); err != nil {
		return err
	}
	return s.Signal(syscall.SIGHUP)
}

func writeFiles(root string) error {
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range NginxFiles {
		size := 1 << (10 + i%9)
		content := make([]byte, size)
		for j := range content {
			content[j] = byte(r.Uint32())
		}
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("%d.bin", i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
