package server

import (
	"context"
	"fmt"
	"path/filepath"
)

// debianPython is Debian's own interpreter, whatever else is first on PATH.
const debianPython = "/usr/bin/python3"

// StartQuotes starts the testbed's aiohttp server, apps/quotes, which asks
// the service at upstream.
func StartQuotes(ctx context.Context, upstream string) (*Server, error) {
	app, err := appDir("quotes")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "quotes", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{filepath.Join(app, "server.py"), fmt.Sprintf("--port=%d", port(addr)), "--upstream=http://" + upstream}
		},
	}, "--version")
}

// StartGuestbook starts the testbed's Flask application, apps/guestbook,
// under Debian's gunicorn with two workers.
func StartGuestbook(ctx context.Context) (*Server, error) {
	app, err := appDir("guestbook")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "guestbook", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{"-m", "gunicorn", "--chdir", app, "--bind", addr, "--workers", "2", "--preload", "guestbook:app"}
		},
	}, "--version")
}

// StartFares starts the testbed's Rack application, apps/fares, under Debian's
// puma with five threads; it asks the service at upstream.
func StartFares(ctx context.Context, upstream string) (*Server, error) {
	return startRack(ctx, "fares", "UPSTREAM=http://"+upstream)
}

// StartWiki starts the testbed's aiohttp wiki, apps/wiki.
func StartWiki(ctx context.Context) (*Server, error) {
	app, err := appDir("wiki")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "wiki", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{filepath.Join(app, "wiki.py"), fmt.Sprintf("--port=%d", port(addr))}
		},
	}, "--version")
}

// StartRates starts the testbed's Flask application, apps/rates, under Debian's
// gunicorn with one worker of eight threads; it asks the service at upstream.
func StartRates(ctx context.Context, upstream string) (*Server, error) {
	app, err := appDir("rates")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "rates", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1", "UPSTREAM=http://" + upstream},
		Args: func(addr, _ string) []string {
			return []string{"-m", "gunicorn", "--chdir", app, "--bind", addr, "--workers", "1", "--threads", "8", "--preload", "rates:app"}
		},
	}, "--version")
}

// StartStops starts the testbed's Rack application, apps/stops, under Debian's
// puma with five threads.
func StartStops(ctx context.Context) (*Server, error) { return startRack(ctx, "stops") }

// startRack starts one of the testbed's Rack applications under Debian's puma
// with five threads.
func startRack(ctx context.Context, name string, env ...string) (*Server, error) {
	app, err := appDir(name)
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: name, Path: "/usr/bin/puma", Env: append(env, "RACK_ENV=production"),
		Args: func(addr, _ string) []string {
			return []string{"--bind", "tcp://" + addr, "--threads", "5:5", filepath.Join(app, "config.ru")}
		},
	}, "--version")
}

// StartOrders starts the testbed's Django application, apps/orders, under Debian's
// gunicorn with two workers.
func StartOrders(ctx context.Context) (*Server, error) {
	app, err := appDir("orders")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "orders", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, dir string) []string {
			return []string{
				"-m", "gunicorn", "--chdir", app, "--bind", addr, "--workers", "2", "--preload",
				"--env", "DATABASE=" + filepath.Join(dir, "orders.db"), "orders:application",
			}
		},
	}, "--version")
}

// StartForms starts the testbed's Flask application, apps/forms, under Debian's
// gunicorn with two workers, and returns the file that describes its forms, too.
func StartForms(ctx context.Context, description string) (*Server, string, error) {
	app, err := appDir("forms")
	if err != nil {
		return nil, "", err
	}
	const file = "forms.yaml"
	s, err := startDebian(ctx, Program{
		Name: "forms", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Files: func(_, _ string) map[string]string { return map[string]string{file: description} },
		Args: func(addr, dir string) []string {
			return []string{
				"-m", "gunicorn", "--chdir", app, "--bind", addr, "--workers", "2",
				"--env", "FORMS=" + filepath.Join(dir, file), "forms:app",
			}
		},
	}, "--version")
	if err != nil {
		return nil, "", err
	}
	return s, filepath.Join(s.Dir, file), nil
}

// StartStations starts the testbed's aiohttp server, apps/stations, which asks the
// service at upstream.
func StartStations(ctx context.Context, upstream string) (*Server, error) {
	app, err := appDir("stations")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "stations", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{filepath.Join(app, "server.py"), fmt.Sprintf("--port=%d", port(addr)), "--upstream=http://" + upstream}
		},
	}, "--version")
}

// StartAllotments starts the testbed's server of allotments, apps/allotments, on what
// Python has of its own, with its database in the returned server's directory.
func StartAllotments(ctx context.Context) (*Server, error) {
	app, err := appDir("allotments")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "allotments", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, dir string) []string {
			return []string{filepath.Join(app, "allotments.py"), fmt.Sprint(port(addr)), filepath.Join(dir, "allotments.db")}
		},
	}, "--version")
}

// StartCouriers starts the testbed's Rack application, apps/couriers, under Debian's
// puma with five threads; it asks the service at upstream.
func StartCouriers(ctx context.Context, upstream string) (*Server, error) {
	return startRack(ctx, "couriers", "UPSTREAM=http://"+upstream)
}

// StartGazette starts the testbed's PSGI application, apps/gazette, under Debian's
// starman with two workers, which do not write a title over their environment.
func StartGazette(ctx context.Context) (*Server, error) {
	app, err := appDir("gazette")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "gazette", Path: "starman",
		Args: func(addr, _ string) []string {
			return []string{"--disable-proctitle", "--listen", addr, "--workers", "2", filepath.Join(app, "gazette.psgi")}
		},
	}, "--version")
}

// StartThumbs starts the testbed's Rack application, apps/thumbs, under Debian's puma
// with five threads; its pictures are in the returned server's directory.
func StartThumbs(ctx context.Context) (*Server, error) { return startRack(ctx, "thumbs", "DATA=.") }

// StartRadicale starts Debian's radicale, a server of calendars, which takes anybody's
// word for who he is.
func StartRadicale(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "radicale", Path: "radicale", Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, dir string) []string {
			return []string{
				"--config", "", "--server-hosts", addr, "--auth-type", "none", "--logging-level", "error",
				"--storage-filesystem-folder", filepath.Join(dir, "collections"),
			}
		},
	}, "--version")
}

// StartRclone starts Debian's rclone, which serves a folder of so many small files over
// HTTP.
func StartRclone(ctx context.Context, files int) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "rclone", Path: "rclone",
		Files: func(_, _ string) map[string]string {
			m := map[string]string{}
			for i := range files {
				m[fmt.Sprintf("%05d.txt", i)] = fmt.Sprintln("This is file", i)
			}
			return m
		},
		Args: func(addr, dir string) []string {
			return []string{"serve", "http", "--config", "", "--addr", addr, dir}
		},
	}, "version")
}

// appDir is where one of the testbed's own servers has its sources.
func appDir(name string) (string, error) {
	root, err := Repository()
	return filepath.Join(root, "testbed", "apps", name), err
}

// StartEmbeddedGuestbook starts apps/guestbook under Debian's uWSGI, a C program that
// has CPython as a plugin, with two processes of two threads.
func StartEmbeddedGuestbook(ctx context.Context) (*Server, error) {
	app, err := appDir("guestbook")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "uwsgi", Path: "uwsgi-core", Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{
				"--plugins-dir", "/usr/lib/uwsgi/plugins", "--plugin", "python3", "--http-socket", addr, "--chdir", app, "--module", "guestbook:app",
				"--master", "--die-on-term", "--processes", "2", "--threads", "2", "--disable-logging",
			}
		},
	}, "--version")
}
