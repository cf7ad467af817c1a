package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// StartNgircd starts Debian's ngircd, an Internet Relay Chat server, without a limit on
// channels and on how fast they are joined.
func StartNgircd(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "ngircd", Path: "ngircd",
		Files: func(addr, _ string) map[string]string {
			return map[string]string{"ngircd.conf": fmt.Sprintf(`[Global]
Name = irc.testbed.example
Info = a server
Listen = 127.0.0.1
Ports = %d
ServerUID = root
ServerGID = root
[Limits]
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
`, port(addr))}
		},
		Args: func(_, dir string) []string { return []string{"-n", "-f", filepath.Join(dir, "ngircd.conf")} },
	}, "-V")
}

// StartTarantool starts Debian's tarantool with a space of orders, which has an index by
// customer: two of each of 3,000 customers, and 60,000 of customer 0. Its console is what
// listens.
func StartTarantool(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "tarantool", Path: "tarantool",
		Files: func(addr, _ string) map[string]string {
			return map[string]string{"orders.lua": fmt.Sprintf(`box.cfg{wal_mode = 'none', log = 'tarantool.txt'}
orders = box.schema.space.create('orders')
orders:create_index('primary', {parts = {{1, 'unsigned'}}})
orders:create_index('customer', {unique = false, parts = {{2, 'unsigned'}}})
for i = 1, 6000 do orders:insert{i, 1 + i %% 3000, 'an order'} end
for i = 6001, 66000 do orders:insert{i, 0, 'an order'} end
function count(customer) return orders.index.customer:count{customer} end
function show(number) return orders:get(number) end
require('console').listen('%s')
`, addr)}
		},
		Args: func(_, dir string) []string { return []string{filepath.Join(dir, "orders.lua")} },
	}, "--version")
}

// StartH2O starts Debian's h2o, which lists folders: few has 20 files, many so many.
func StartH2O(ctx context.Context, many int) (*Server, error) {
	s, err := startDebian(ctx, Program{
		Name: "h2o", Path: "h2o",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{"h2o.conf": fmt.Sprintf(`num-threads: 2
user: root
listen:
  host: 127.0.0.1
  port: %d
hosts:
  default:
    paths:
      /:
        file.dir: %s
        file.dirlisting: ON
`, port(addr), dir)}
		},
		Args: func(_, dir string) []string { return []string{"-c", filepath.Join(dir, "h2o.conf")} },
	}, "--version")
	if err != nil {
		return nil, err
	}
	for name, files := range map[string]int{"few": 20, "many": many} {
		dir := filepath.Join(s.Dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("picture-%05d.txt", (i*7919)%100_000)), []byte("a picture\n"), 0o644); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// StartStunnel starts Debian's stunnel, which speaks TLS for the service at upstream.
// identity is its certificate with its key, in PEM.
func StartStunnel(ctx context.Context, upstream string, identity []byte) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "stunnel", Path: "stunnel4",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{"identity.pem": string(identity), "stunnel.conf": fmt.Sprintf(`foreground = yes
pid =
debug = err
output = %[3]s/stunnel.txt
[shop]
accept = %[1]s
connect = %[2]s
cert = %[3]s/identity.pem
`, addr, upstream, dir)}
		},
		Args: func(_, dir string) []string { return []string{filepath.Join(dir, "stunnel.conf")} },
	}, "-version")
}

// StartCellar starts the testbed's FastAPI application, apps/cellar, under Debian's uvicorn.
func StartCellar(ctx context.Context) (*Server, error) {
	app, err := appDir("cellar")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "cellar", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{"-m", "uvicorn", "--app-dir", app, "--host", "127.0.0.1", "--port", strconv.Itoa(port(addr)), "--no-access-log", "cellar:app"}
		},
	}, "--version")
}

// StartLodge starts the testbed's lodge (apps/lodge) on WEBrick, its store in the server's
// directory.
func StartLodge(ctx context.Context) (*Server, error) {
	app, err := appDir("lodge")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "lodge", Path: "ruby",
		Args: func(addr, dir string) []string {
			return []string{filepath.Join(app, "server.rb"), strconv.Itoa(port(addr)), filepath.Join(dir, "guests")}
		},
	}, "--version")
}

// StartMeters starts the testbed's apps/meters on the server that PHP has itself.
func StartMeters(ctx context.Context) (*Server, error) {
	app, err := appDir("meters")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "meters", Path: "php8.2",
		Args: func(addr, _ string) []string {
			return []string{"-S", addr, filepath.Join(app, "router.php")}
		},
	}, "--version")
}

// StartLighthouse compiles and starts the testbed's own Rust server, apps/lighthouse, which
// follows the station at an address.
func StartLighthouse(ctx context.Context, station string) (*Server, error) {
	path, err := buildRust(ctx, "lighthouse")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "lighthouse", Version: "lighthouse (Rust)", Path: path, Env: []string{"OTEL_SERVICE_NAME=lighthouse"},
		Args: func(addr, _ string) []string { return []string{addr, station} },
	})
}

// StartGranary starts the testbed's granary (apps/granary), on the server that Java has.
func StartGranary(ctx context.Context) (*Server, error) { return startJava(ctx, "granary") }

// StartAbbey compiles and starts the testbed's own OCaml server, apps/abbey.
func StartAbbey(ctx context.Context) (*Server, error) {
	path, err := buildOCaml(ctx, "abbey")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "abbey", Version: "abbey (OCaml)", Path: path, Env: []string{"OTEL_SERVICE_NAME=abbey"},
		Args: func(addr, _ string) []string { return []string{strconv.Itoa(port(addr))} },
	})
}

// buildOCaml compiles testbed/apps/NAME/NAME.ml with threads into testbed/bin/NAME, unless
// that is newer, and returns its path.
func buildOCaml(ctx context.Context, name string) (string, error) {
	building.Lock()
	defer building.Unlock()
	app, err := appDir(name)
	if err != nil {
		return "", err
	}
	root, err := Repository()
	if err != nil {
		return "", err
	}
	source, program := filepath.Join(app, name+".ml"), filepath.Join(root, "testbed", "bin", name)
	if upToDate(program, []string{source}) {
		return program, nil
	}
	// The compiler leaves its objects beside the source.
	dir, err := os.MkdirTemp("", "perfscope-"+name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	if err := writeAll(dir, map[string]string{name + ".ml": string(text)}); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	compile := exec.CommandContext(ctx, "ocamlopt", "-g", "-I", "+threads", "unix.cmxa", "threads.cmxa", "-o", program, name+".ml")
	compile.Dir = dir
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("ocamlopt %s: %w: %s", name, err, out)
	}
	return program, nil
}
