package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// StartPHP starts Debian's php-fpm with eight children, which run the scripts,
// contents by name, in its directory. It speaks FastCGI; settings are added to
// its pool's.
func StartPHP(ctx context.Context, scripts map[string]string, settings ...string) (*Server, error) {
	var owned error
	s, err := startDebian(ctx, Program{
		Name: "php-fpm",
		Path: "/usr/sbin/php-fpm[0-9]*",
		Files: func(addr, dir string) map[string]string {
			var own string
			own, owned = ownDir(dir, "www-data")
			files := map[string]string{"fpm.conf": fmt.Sprintf(`[global]
error_log = %[1]s/error.log
daemonize = no
[www]
user = www-data
group = www-data
listen = %[2]s
pm = static
pm.max_children = 8
php_admin_value[session.save_path] = %[3]s
%[4]s
`, dir, addr, own, strings.Join(settings, "\n"))}
			for name, script := range scripts {
				files[name] = script
			}
			return files
		},
		Args: func(_, dir string) []string { return []string{"-F", "-y", filepath.Join(dir, "fpm.conf")} },
	}, "-v")
	if owned != nil && err == nil {
		_ = s.Stop()
		return nil, owned
	}
	return s, err
}

// StartApachePHP starts Debian's apache2 with PHP as its module, which serves a script
// from its document root.
func StartApachePHP(ctx context.Context, name, script string) (*Server, error) {
	modules, err := filepath.Glob("/usr/lib/apache2/modules/libphp*.so")
	if err != nil || len(modules) == 0 {
		return nil, errors.New("apache has no PHP: make deps-all installs libapache2-mod-php")
	}
	s, err := StartApache(ctx, "prefork", nil,
		"LoadModule php_module "+modules[len(modules)-1], "AddHandler application/x-httpd-php .php", "StartServers 5", "MaxRequestWorkers 8")
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "www", name), []byte(script), 0o644)
	}
	if err != nil && s != nil {
		err = errors.Join(err, s.Stop())
	}
	return s, err
}
