package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// StartLighttpd starts Debian's lighttpd, one process. It serves the files of
// writeFiles from its document root, Dir/www. modules are loaded beside the
// usual ones, settings are added to its configuration.
func StartLighttpd(ctx context.Context, modules []string, settings ...string) (*Server, error) {
	path, err := find("lighttpd")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("lighttpd")
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
	// What it writes itself, after it has given up root.
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		return fail(err)
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "server.username = \"www-data\"\nserver.groupname = \"www-data\""
		id, err := proc.Credential("www-data")
		if err != nil {
			return fail(err)
		}
		if err := os.Chown(own, int(id.Uid), int(id.Gid)); err != nil {
			return fail(err)
		}
	}
	// After Debian's lighttpd.conf.
	conf := fmt.Sprintf(`server.modules = ("mod_indexfile", "mod_access", "mod_alias", "mod_redirect", "mod_accesslog"%[1]s)
server.document-root = "%[2]s/www"
server.upload-dirs = ("%[2]s/own")
server.errorlog = "%[2]s/own/error.log"
accesslog.filename = "%[2]s/own/access.log"
server.bind = "127.0.0.1"
server.port = %[3]d
%[4]s
index-file.names = ("index.html")
url.access-deny = ("~", ".inc")
static-file.exclude-extensions = (".php", ".pl", ".fcgi")
mimetype.assign = (".html" => "text/html", ".bin" => "application/octet-stream")
%[5]s
`, quoted(modules), dir, port(addr), account, strings.Join(settings, "\n"))
	file := filepath.Join(dir, "lighttpd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "lighttpd.log")
	p, err := proc.Start(proc.Options{Path: path, Args: []string{"-D", "-f", file}, Dir: dir, Output: log})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-v")}
	if err := s.waitReady(ctx, log, answers(addr)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func quoted(names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, ", %q", name)
	}
	return b.String()
}

// answers probes whether a web server answers at all.
func answers(addr string) func() error {
	return func() error {
		c := http.Client{Timeout: time.Second}
		defer c.CloseIdleConnections()
		response, err := c.Get("http://" + addr + "/0.bin")
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
}
