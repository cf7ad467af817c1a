package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// StartSnmpd starts Debian's agent of the Simple Network Management Protocol, which
// anybody on this machine may ask, over TCP as well so that it is known when it serves.
// What is below an object a script says, whose path is returned.
func StartSnmpd(ctx context.Context, object string) (*Server, string, error) {
	const script = "battery.sh"
	s, err := startDebian(ctx, Program{
		Name: "snmpd", Path: "snmpd",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{
				script: batteryScript(":"),
				"snmpd.conf": fmt.Sprintf(`agentaddress udp:%[1]s,tcp:%[1]s
rocommunity public 127.0.0.1
sysLocation a cellar
pass %[3]s /bin/sh %[2]s/%[4]s
`, addr, dir, object, script),
			}
		},
		Args: func(_, dir string) []string {
			return []string{"-f", "-C", "-c", filepath.Join(dir, "snmpd.conf"), "-Lf", filepath.Join(dir, "agent.log"), "-p", filepath.Join(dir, "pid")}
		},
	}, "-v")
	if err != nil {
		return nil, "", err
	}
	return s, filepath.Join(s.Dir, script), nil
}

func batteryScript(first string) string {
	return first + "\necho $2\necho integer\necho 87\n" // $2 is what is asked for
}

// WriteBattery changes the script of StartSnmpd, which does something first.
func WriteBattery(script, first string) error {
	return os.WriteFile(script, []byte(batteryScript(first)), 0o644)
}

// StartPrivoxy starts Debian's privoxy, a proxy that changes the pages it passes on by
// the expressions of a file of filters, all of which are used for every page.
func StartPrivoxy(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "privoxy", Path: "privoxy",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{
				"config": fmt.Sprintf(`confdir %[2]s
logdir %[2]s
logfile requests.log
actionsfile all.action
filterfile own.filter
listen-address %[1]s
keep-alive-timeout 30
max-client-connections 64
`, addr, dir),
				"all.action": "{ +filter{own} +force-text-mode }\n/\n",
				"own.filter": privoxyFilter(),
			}
		},
		Args: func(_, dir string) []string { return []string{"--no-daemon", filepath.Join(dir, "config")} },
	}, "--version")
}

func privoxyFilter(more ...string) string {
	jobs := append([]string{`s/<blink>/<b>/g`, `s/many lines/few lines/g`}, more...)
	return "FILTER: own What we change\n" + strings.Join(jobs, "\n") + "\n"
}

// ChangePrivoxy adds an expression to the filter, which is read at the next request.
func ChangePrivoxy(s *Server, job string) error {
	return os.WriteFile(filepath.Join(s.Dir, "own.filter"), []byte(privoxyFilter(job)), 0o644)
}

// StartInflux starts Debian's influxdb, with its data in the server's directory.
func StartInflux(ctx context.Context) (*Server, error) {
	rpc, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "influxdb", Path: "influxd",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{"influxdb.conf": fmt.Sprintf(`reporting-disabled = true
bind-address = "%[3]s"
[meta]
dir = "%[2]s/meta"
[data]
dir = "%[2]s/data"
wal-dir = "%[2]s/wal"
query-log-enabled = false
[http]
bind-address = "%[1]s"
log-enabled = false
[monitor]
store-enabled = false
`, addr, dir, rpc)}
		},
		Args: func(_, dir string) []string { return []string{"-config", filepath.Join(dir, "influxdb.conf")} },
	}, "version")
}

// StartAtlas starts the testbed's Tornado application, apps/atlas.
func StartAtlas(ctx context.Context) (*Server, error) {
	app, err := appDir("atlas")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "atlas", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string { return []string{filepath.Join(app, "atlas.py"), fmt.Sprint(port(addr))} },
	}, "--version")
}

// StartPledges starts the testbed's Flask application, apps/pledges, under Debian's
// gunicorn with one worker of sixteen threads; its database is in the server's directory.
func StartPledges(ctx context.Context) (*Server, error) {
	app, err := appDir("pledges")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "pledges", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, dir string) []string {
			return []string{
				"-m", "gunicorn", "--chdir", app, "--bind", addr, "--workers", "1", "--threads", "16", "--preload",
				"--env", "DATABASE=" + filepath.Join(dir, "pledges.db"), "pledges:app",
			}
		},
	}, "--version")
}

// StartInvoices starts the testbed's Rack application, apps/invoices, under Debian's
// unicorn with two workers.
func StartInvoices(ctx context.Context) (*Server, error) {
	app, err := appDir("invoices")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "invoices", Path: "unicorn",
		Files: func(_, _ string) map[string]string { return map[string]string{"unicorn.rb": "worker_processes 2\n"} },
		Args: func(addr, dir string) []string {
			return []string{"--env", "production", "--listen", addr, "--config-file", filepath.Join(dir, "unicorn.rb"), filepath.Join(app, "config.ru")}
		},
	}, "--version")
}

// StartFreight starts the testbed's PSGI application, apps/freight, under Debian's starman
// with six workers; it asks the service at upstream.
func StartFreight(ctx context.Context, upstream string) (*Server, error) {
	app, err := appDir("freight")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "freight", Path: "starman", Env: []string{"UPSTREAM=http://" + upstream},
		Args: func(addr, _ string) []string {
			return []string{"--disable-proctitle", "--listen", addr, "--workers", "6", filepath.Join(app, "freight.psgi")}
		},
	}, "--version")
}

// StartBrewery starts the testbed's brewery (apps/brewery), which asks the service at
// upstream, on the server that Java has.
func StartBrewery(ctx context.Context, upstream string) (*Server, error) {
	return startJava(ctx, "brewery", upstream)
}

// StartTurnstile compiles and starts the testbed's own C++ server, apps/turnstile, whose
// journal is in the returned server's directory.
func StartTurnstile(ctx context.Context) (*Server, error) {
	path, err := buildCPlusPlus(ctx, "turnstile")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "turnstile", Version: "turnstile (C++)", Path: path, Env: []string{"OTEL_SERVICE_NAME=turnstile"},
		Args: func(addr, dir string) []string {
			return []string{strconv.Itoa(port(addr)), filepath.Join(dir, "journal")}
		},
	})
}

// buildCPlusPlus is buildC for C++.
func buildCPlusPlus(ctx context.Context, name string) (string, error) {
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
	sources, err := filepath.Glob(filepath.Join(app, "*.cc"))
	headers, err2 := filepath.Glob(filepath.Join(app, "*.h"))
	if err := errors.Join(err, err2); err != nil {
		return "", err
	}
	program := filepath.Join(root, "testbed", "bin", name)
	if upToDate(program, append(headers, sources...)) {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	args := append([]string{"-O2", "-std=c++17", "-Wall", "-Wextra", "-pthread", "-o", program}, sources...)
	if out, err := exec.CommandContext(ctx, "c++", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("c++ %s: %w: %s", name, err, out)
	}
	return program, nil
}

// StartObservatory compiles and starts the testbed's own Rust server, apps/observatory,
// which asks the service at upstream.
func StartObservatory(ctx context.Context, upstream string) (*Server, error) {
	path, err := buildRust(ctx, "observatory")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "observatory", Version: "observatory (Rust)", Path: path, Env: []string{"OTEL_SERVICE_NAME=observatory"},
		Args: func(addr, _ string) []string { return []string{addr, upstream} },
	})
}
