package jvm

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
)

// TestARealJVM asks one twice: the first time it has no attach socket yet.
func TestARealJVM(t *testing.T) {
	s := stacktest.JVM(t, "../stack/testdata/jvmserver/Cart.java", "com.shop.Cart::add")
	path := fmt.Sprintf("/tmp/perf-%d.map", s.PID)
	t.Cleanup(func() { _ = os.Remove(path) })
	for i := range 2 {
		_ = os.Remove(path)
		if err := WritePerfMap(t.Context(), &rootfs.Door{}, int32(s.PID)); err != nil {
			t.Fatalf("time %d: %v", i+1, err)
		}
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), "Interpreter") {
			t.Fatalf("time %d: %v, %d bytes", i+1, err, len(data))
		}
	}
	if left, _ := filepath.Glob(fmt.Sprintf("/tmp/.attach_pid%d", s.PID)); len(left) > 0 {
		t.Errorf("%q is left behind", left)
	}
}

// TestOthersAreLeftAlone: SIGQUIT would end a process that does not handle it.
func TestOthersAreLeftAlone(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "30")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := WritePerfMap(t.Context(), &rootfs.Door{}, int32(cmd.Process.Pid))
	if err == nil || !strings.Contains(err.Error(), "does not handle SIGQUIT") {
		t.Errorf("%v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Errorf("it has ended: %v", err)
	}
	_ = cmd.Wait()
	if err := WritePerfMap(t.Context(), &rootfs.Door{}, int32(cmd.Process.Pid)); err == nil {
		t.Error("a process that has ended was asked")
	}
}

// fake is a proc file system with this process, whose socket gives an answer.
func fake(t *testing.T, answer string) (proc string, asked chan string) {
	t.Helper()
	proc = t.TempDir()
	dir := filepath.Join(proc, strconv.Itoa(os.Getpid()))
	tmp := filepath.Join(dir, "root", "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	status := "Name:\tjava\nNSpid:\t7\t3\nSigCgt:\t0000000000000004\n"
	if err := os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	// It is in a container, and process 3 there.
	l, err := net.Listen("unix", filepath.Join(tmp, ".java_pid3"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked = make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		command := make([]byte, len("1\x00jcmd\x00Compiler.perfmap\x00\x00\x00"))
		_, _ = io.ReadFull(c, command)
		asked <- string(command)
		_, _ = io.WriteString(c, answer)
	}()
	return proc, asked
}

func TestTheAnswerIsRead(t *testing.T) {
	proc, asked := fake(t, "0\nCommand executed")
	if err := WritePerfMap(context.Background(), &rootfs.Door{Proc: proc}, int32(os.Getpid())); err != nil {
		t.Error(err)
	}
	if got := <-asked; got != "1\x00jcmd\x00Compiler.perfmap\x00\x00\x00" {
		t.Errorf("it was asked for %q", got)
	}
	proc, _ = fake(t, "1\nUnknown diagnostic command\n")
	err := WritePerfMap(context.Background(), &rootfs.Door{Proc: proc}, int32(os.Getpid()))
	if err == nil || !strings.Contains(err.Error(), "refuses Compiler.perfmap: 1 Unknown diagnostic command") {
		t.Errorf("%v", err)
	}
}

// TestAnotherProcessesSocketIsRefused: who listens is asked of the kernel.
func TestAnotherProcessesSocketIsRefused(t *testing.T) {
	proc, _ := fake(t, "0\n")
	own, other := filepath.Join(proc, strconv.Itoa(os.Getpid())), filepath.Join(proc, "1")
	if err := os.Rename(own, other); err != nil {
		t.Fatal(err)
	}
	err := WritePerfMap(context.Background(), &rootfs.Door{Proc: proc}, 1)
	if err == nil || !strings.Contains(err.Error(), "listens there") {
		t.Errorf("got %v", err)
	}
}

// FuzzAnswers: what a JVM says is told in one short line without control
// characters, whatever it is.
func FuzzAnswers(f *testing.F) {
	f.Add("0\nCommand executed")
	f.Add("1\n\x1b[31m\u009b\u202e")
	f.Fuzz(func(t *testing.T, answer string) {
		err := judge(answer, "x")
		if err == nil {
			return
		}
		text := err.Error()
		if len(text) > 2*maxRefusal || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x9b || r == 0x202e }) {
			t.Errorf("%q", text)
		}
	})
}
