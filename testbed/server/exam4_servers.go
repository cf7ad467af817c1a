package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// StartDnsmasq starts Debian's dnsmasq with so many hosts, host00000.shop.example and on, and
// as many texts of these names. It answers over UDP and TCP.
func StartDnsmasq(ctx context.Context, hosts, texts int) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "dnsmasq", Path: "dnsmasq",
		Files: func(addr, dir string) map[string]string {
			var addresses, conf strings.Builder
			for i := range hosts {
				fmt.Fprintf(&addresses, "10.%d.%d.%d host%05d.shop.example\n", i>>16, i>>8&255, i&255, i)
			}
			fmt.Fprintf(&conf, "port=%d\nlisten-address=127.0.0.1\nbind-interfaces\nuser=root\npid-file=%s/dnsmasq.pid\nno-resolv\nno-hosts\nlocal=/shop.example/\naddn-hosts=%[2]s/addresses\n", port(addr), dir)
			for i := range texts {
				fmt.Fprintf(&conf, "txt-record=host%05d.shop.example,v=spf1 ip4:10.0.0.%d -all\n", i, i%250)
			}
			return map[string]string{"addresses": addresses.String(), "dnsmasq.conf": conf.String()}
		},
		Args: func(_, dir string) []string { return []string{"-k", "-C", filepath.Join(dir, "dnsmasq.conf")} },
	}, "--version")
}

// StartGearmand starts Debian's gearmand, a queue of jobs in memory.
func StartGearmand(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "gearmand", Path: "gearmand",
		Args: func(addr, dir string) []string {
			return []string{
				"--listen=127.0.0.1", "--port=" + strconv.Itoa(port(addr)), "--user=root", "--verbose=ERROR",
				"--log-file=" + filepath.Join(dir, "gearmand.txt"), "--pid-file=" + filepath.Join(dir, "gearmand.pid"),
			}
		},
	}, "--version")
}

// StartNginxStylesheet starts Debian's nginx with two workers and its module that turns XML
// into pages by a stylesheet. documents are the files under /lists/.
func StartNginxStylesheet(ctx context.Context, stylesheet string, documents map[string]string) (*Server, error) {
	const module = "/usr/lib/nginx/modules/ngx_http_xslt_filter_module.so"
	if _, err := os.Stat(module); err != nil {
		return nil, fmt.Errorf("%w: run `make deps`", err)
	}
	sheets, err := os.MkdirTemp("/var/tmp", "perfscope-stylesheet-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(sheets) // nginx has read it when it serves
	sheet := filepath.Join(sheets, "lists.xsl")
	if err := errors.Join(os.Chmod(sheets, 0o755), os.WriteFile(sheet, []byte(stylesheet), 0o644)); err != nil {
		return nil, err
	}
	s, err := StartNginxWith(ctx, NginxConfig{
		Main:   "load_module " + module + ";",
		Server: fmt.Sprintf("location /lists/ { types { text/xml xml; } xslt_stylesheet %s; }", sheet),
	})
	if err != nil {
		return nil, err
	}
	lists := filepath.Join(s.Dir, "www", "lists")
	if err := errors.Join(os.Mkdir(lists, 0o755), writeAll(lists, documents)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartH2 starts Debian's H2, a database in Java, which speaks PostgreSQL's protocol. Its
// databases are in the returned server's directory and made when they are first connected to.
func StartH2(ctx context.Context) (*Server, error) {
	const jar = "/usr/share/java/h2.jar"
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(jar); err != nil {
		return nil, fmt.Errorf("%w: run `make deps`", err)
	}
	s, err := StartProgram(ctx, Program{
		Name: "h2", Version: "H2 on " + version(java, "-version"), Path: java, Env: []string{"OTEL_SERVICE_NAME=h2"},
		Args: func(addr, dir string) []string {
			return slices.Concat(jvmFlags, []string{
				"-cp", jar, "org.h2.tools.Server", "-pg", "-pgPort", strconv.Itoa(port(addr)), "-baseDir", dir, "-ifNotExists",
			})
		},
	})
	if err != nil {
		return nil, err
	}
	s.beside = keepPerfMap
	go keepPerfMap(s.Process)
	return s, nil
}

// StartMarina starts the testbed's own Java server (apps/marina), which writes its log by
// Debian's logback into the returned server's directory.
func StartMarina(ctx context.Context) (*Server, error) {
	jars := []string{"/usr/share/java/slf4j-api.jar", "/usr/share/java/logback-core.jar", "/usr/share/java/logback-classic.jar"}
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	classes, err := compileJava("marina", jars...)
	if err != nil {
		return nil, err
	}
	s, err := StartProgram(ctx, Program{
		Name: "marina", Version: "marina on " + version(java, "-version"), Path: java, Env: []string{"OTEL_SERVICE_NAME=marina"},
		Files: func(_, dir string) map[string]string {
			return map[string]string{"logback.xml": fmt.Sprintf(`<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender">
    <file>%s/marina.txt</file>
    <encoder><pattern>%%d %%-5level [%%thread] %%logger{36}.%%method:%%line - %%msg%%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
`, dir)}
		},
		Args: func(addr, dir string) []string {
			return slices.Concat(jvmFlags, []string{
				"-Dlogback.configurationFile=" + filepath.Join(dir, "logback.xml"),
				"-cp", strings.Join(append([]string{classes}, jars...), ":"), "marina.Main", strconv.Itoa(port(addr)),
			})
		},
	})
	if err != nil {
		return nil, err
	}
	s.beside = keepPerfMap
	go keepPerfMap(s.Process)
	return s, nil
}

// StartCanteen builds and starts the testbed's own Go server, apps/canteen, which asks its own
// kitchen and those of guests over gRPC.
func StartCanteen(ctx context.Context, kitchen string, guests ...string) (*Server, error) {
	path, err := buildGo(ctx, "canteen", "")
	if err != nil {
		return nil, err
	}
	return startGo(ctx, "canteen", path, "canteen (Go)", func(addr, _ string) []string {
		return []string{"-listen", addr, "-kitchen", kitchen, "-guests", strings.Join(guests, ",")}
	})
}

// StartSnippets starts the testbed's Flask application, apps/snippets, under Debian's gunicorn
// with one worker of gevent.
func StartSnippets(ctx context.Context) (*Server, error) {
	app, err := appDir("snippets")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "snippets", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{"-m", "gunicorn", "--chdir", app, "--bind", addr, "--workers", "1", "--worker-class", "gevent", "snippets:app"}
		},
	}, "--version")
}

// StartPostroom starts the testbed's mail server, apps/postroom, on Debian's aiosmtpd; it asks
// the name server on an address of this machine.
func StartPostroom(ctx context.Context, nameServer string) (*Server, error) {
	app, err := appDir("postroom")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "postroom", Path: debianPython, Env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		Args: func(addr, _ string) []string {
			return []string{filepath.Join(app, "postroom.py"), fmt.Sprintf("--port=%d", port(addr)), "--dns=" + nameServer}
		},
	}, "--version")
}

// StartBookmobile starts the testbed's Sinatra application, apps/bookmobile, under Debian's
// puma with five threads, its database in the returned server's directory.
func StartBookmobile(ctx context.Context) (*Server, error) {
	return startRack(ctx, "bookmobile", "DATABASE=bookmobile.db")
}

// StartDiary starts the testbed's apps/diary, a program in PHP that serves itself.
func StartDiary(ctx context.Context) (*Server, error) {
	app, err := appDir("diary")
	if err != nil {
		return nil, err
	}
	return startDebian(ctx, Program{
		Name: "diary", Path: "php8.2",
		Files: func(_, _ string) map[string]string { return map[string]string{"settings.ini": "careful = no\n"} },
		Args:  func(addr, dir string) []string { return []string{filepath.Join(app, "server.php"), addr, dir} },
	}, "--version")
}

// StartWeirs builds and starts the testbed's own server on tokio, apps/weirs.
func StartWeirs(ctx context.Context) (*Server, error) {
	path, err := buildCargo(ctx, "weirs")
	if err != nil {
		return nil, err
	}
	return StartProgram(ctx, Program{
		Name: "weirs", Version: "weirs (Rust)", Path: path, Env: []string{"OTEL_SERVICE_NAME=weirs"},
		Args: func(addr, _ string) []string { return []string{addr} },
	})
}

// buildCargo builds the package in testbed/apps/NAME with Debian's libraries, below
// testbed/bin/cargo, unless that is newer, and returns the program's path.
func buildCargo(ctx context.Context, name string) (string, error) {
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
	sources, err := filesBelow(app)
	if err != nil {
		return "", err
	}
	target := filepath.Join(root, "testbed", "bin", "cargo")
	program := filepath.Join(target, "release", name)
	if upToDate(program, sources) {
		return program, nil
	}
	cargo, err := find("cargo")
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, cargo, "build", "--release", "--offline", "--target-dir", target)
	build.Dir = app // whose .cargo/config.toml counts
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cargo build %s: %w: %s", name, err, out)
	}
	return program, nil
}

func filesBelow(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}
