package stacktest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a server process started for a test.
type Server struct {
	// PID is the process started; its children may do the work.
	PID int
	// Addr is the loopback address it listens on.
	Addr string
	// Dir is its private directory.
	Dir string
}

// Missing skips the test, or fails it where everything must be there (CI=true).
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedRoot is for tests that stop other users' processes.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root: ptrace and servers of other users")
	}
}

// program finds an executable or calls Missing.
func program(t testing.TB, paths ...string) string {
	t.Helper()
	for _, p := range paths {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[len(found)-1]
		}
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	Missing(t, "%s is not installed", paths[0])
	return ""
}

func freeAddr(t testing.TB) (addr, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(addr)
	return addr, port
}

// nobody is the user that servers run as which refuse root.
const nobody = 65534

// start runs cmd until the test ends and waits until it listens.
func start(t testing.TB, s *Server, cmd *exec.Cmd) *Server {
	t.Helper()
	log, err := os.Create(filepath.Join(s.Dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.PID = cmd.Process.Pid
	// Nobody waits for it before the end: a wait would take the stops that
	// Capture waits for.
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		_ = log.Close()
	})
	for range 200 {
		if c, err := net.Dial("tcp", s.Addr); err == nil {
			_ = c.Close()
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not listen on %s: %s", cmd.Path, s.Addr, text)
	return nil
}

// Redis starts Debian's redis-server with DEBUG allowed.
func Redis(t testing.TB) *Server {
	t.Helper()
	bin := program(t, "redis-server")
	addr, port := freeAddr(t)
	s := &Server{Addr: addr, Dir: t.TempDir()}
	cmd := exec.Command(bin, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", s.Dir, "--enable-debug-command", "yes")
	return start(t, s, cmd)
}

// Nginx starts nginx with one worker that serves Dir.
func Nginx(t testing.TB) *Server {
	t.Helper()
	bin := program(t, "nginx", "/usr/sbin/nginx")
	addr, _ := freeAddr(t)
	s := &Server{Addr: addr, Dir: publicDir(t)}
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events {} http { access_log off; gzip on; gzip_types *; client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2;
fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
server { listen %[2]s; root %[1]s; } }`, s.Dir, addr)
	write(t, filepath.Join(s.Dir, "nginx.conf"), conf)
	write(t, filepath.Join(s.Dir, "page.txt"), strings.Repeat("a page to compress\n", 5000))
	return start(t, s, exec.Command(bin, "-c", filepath.Join(s.Dir, "nginx.conf")))
}

// Memcached starts memcached with four workers.
func Memcached(t testing.TB) *Server {
	t.Helper()
	bin := program(t, "memcached")
	addr, port := freeAddr(t)
	s := &Server{Addr: addr, Dir: t.TempDir()}
	return start(t, s, exec.Command(bin, "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0"))
}

// Postgres makes a cluster and starts it as nobody, since it refuses root.
func Postgres(t testing.TB) *Server {
	t.Helper()
	NeedRoot(t)
	bin := program(t, "/usr/lib/postgresql/*/bin/postgres")
	addr, port := freeAddr(t)
	s := &Server{Addr: addr, Dir: publicDir(t)}
	data := filepath.Join(s.Dir, "data")
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	make := exec.Command(filepath.Join(filepath.Dir(bin), "initdb"), "-D", data, "-A", "trust", "-N", "-U", "postgres")
	make.SysProcAttr, make.Dir = as, s.Dir
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	cmd := exec.Command(bin, "-D", data, "-p", port, "-h", "127.0.0.1", "-k", s.Dir, "-F")
	cmd.SysProcAttr, cmd.Dir = as, s.Dir
	return start(t, s, cmd)
}

// GoServer builds the Go program in dir, stripped, and starts it; it takes
// its address as its argument.
func GoServer(t testing.TB, dir string, buildFlags ...string) *Server {
	t.Helper()
	tool := program(t, "go")
	addr, _ := freeAddr(t)
	s := &Server{Addr: addr, Dir: t.TempDir()}
	bin := filepath.Join(s.Dir, "goserver")
	args := append([]string{"build", "-ldflags=-s -w", "-o", bin}, buildFlags...)
	build := exec.Command(tool, append(args, ".")...)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return start(t, s, exec.Command(bin, addr))
}

// JVM starts the Java program in a source file, which takes its port as its
// argument, with frame pointers in its compiled code; method is compiled on its
// own, not into its callers. WritePerfMap names what has been compiled.
func JVM(t testing.TB, source, method string) *Server {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil { // java needs it to run a source file
		t.Skip("no JDK is installed: testbed/install-deps.sh all")
	}
	bin := program(t, "java")
	addr, port := freeAddr(t)
	s := &Server{Addr: addr, Dir: t.TempDir()}
	return start(t, s, exec.Command(bin, "-XX:+PreserveFramePointer", "-XX:CompileCommand=quiet",
		"-XX:CompileCommand=dontinline,"+method, source, port))
}

// WritePerfMap has a JVM write /tmp/perf-PID.map.
func WritePerfMap(t testing.TB, s *Server) {
	t.Helper()
	out, err := exec.Command(program(t, "jcmd"), fmt.Sprint(s.PID), "Compiler.perfmap").CombinedOutput()
	if err != nil {
		t.Fatalf("jcmd: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", s.PID)) })
}

// publicDir is a temporary directory that other users can enter and write.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "perfscope-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // not the umask's business
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
