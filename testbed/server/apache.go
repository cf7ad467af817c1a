package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/proc"
)

// What Debian's apache2 loads on a first start, without what only its
// packaging needs.
var apacheModules = []string{
	"authn_core", "authz_core", "authz_host", "alias", "dir", "autoindex", "mime", "negotiation",
	"setenvif", "env", "filter", "deflate", "reqtimeout", "status",
}

// StartApache starts Debian's apache2 with one of its multi-processing modules
// (prefork, worker, event). It serves the files of writeFiles from its
// document root, Dir/www. modules are loaded beside the usual ones, directives
// are added to its configuration.
func StartApache(ctx context.Context, mpm string, modules []string, directives ...string) (*Server, error) {
	path, err := find("apache2")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("apache")
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
	var conf strings.Builder
	for _, m := range append(append([]string{"mpm_" + mpm}, apacheModules...), modules...) {
		fmt.Fprintf(&conf, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	if os.Geteuid() == 0 {
		conf.WriteString("User www-data\nGroup www-data\n")
	}
	// The rest is from Debian's apache2.conf and mods-enabled.
	fmt.Fprintf(&conf, `ServerName localhost
ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile %[1]s/apache.pid
Listen %[2]s
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
HostnameLookups Off
ErrorLog %[1]s/error.log
LogLevel warn
LogFormat "%%h %%l %%u %%t \"%%r\" %%>s %%O" common
TransferLog %[1]s/access.log
TypesConfig %[1]s/mime.types
RequestReadTimeout header=20-40,minrate=500
RequestReadTimeout body=10,minrate=500
AddOutputFilterByType DEFLATE text/html text/plain
DocumentRoot %[1]s/www
<Directory />
  AllowOverride None
  Require all denied
</Directory>
<Directory %[1]s/www>
  Options Indexes FollowSymLinks
  AllowOverride None
  Require all granted
</Directory>
AccessFileName .htaccess
IndexOptions FancyIndexing VersionSort HTMLTable NameWidth=* DescriptionWidth=* Charset=UTF-8
%[3]s
`, dir, addr, strings.Join(directives, "\n"))
	file := filepath.Join(dir, "apache2.conf")
	types := "text/html html\ntext/plain txt log\napplication/octet-stream bin\nimage/jpeg jpg\n"
	if err := errors.Join(
		os.WriteFile(file, []byte(conf.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "mime.types"), []byte(types), 0o644),
	); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "error.log")
	p, err := proc.Start(proc.Options{
		Path: path, Args: []string{"-f", file, "-DFOREGROUND"}, Dir: dir, Output: filepath.Join(dir, "apache.log"),
	})
	if err != nil {
		return fail(err)
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: version(path, "-v")}
	if err := s.waitReady(ctx, log, answers(addr)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}
