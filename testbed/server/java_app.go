package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// jvmFlags are what a JVM gets beside its own program: a heap as small servers
// have, frame pointers in compiled code so that its stacks can be walked, and
// the socket on which it takes commands.
var jvmFlags = []string{"-Xms192m", "-Xmx384m", "-XX:+PreserveFramePointer", "-XX:+StartAttachListener"}

// StartParcels starts the testbed's own Java server (apps/parcels). rates is the
// address of the peer that it asks what a parcel costs; flags are added to its
// command line (--workers=8).
func StartParcels(ctx context.Context, rates string, flags ...string) (*Server, error) {
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	classes, err := compileJava("parcels")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("parcels")
	if err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "parcels.log")
	args := append([]string{}, jvmFlags...)
	args = append(args, "-cp", classes, "parcels.Main", fmt.Sprintf("--port=%d", port(addr)), "--dir="+dir, "--rates="+rates)
	p, err := proc.Start(proc.Options{
		Path: java, Args: append(args, flags...), Dir: dir, Env: []string{"OTEL_SERVICE_NAME=parcels"}, Output: log,
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	s := &Server{Process: p, Addr: addr, Dir: dir, Version: "parcels on " + version(java, "-version"), beside: keepPerfMap}
	if err := s.waitReady(ctx, log, func() error { return dialOnce(addr) }); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartFleet starts the testbed's fleet (apps/fleet), on the server that Java has.
func StartFleet(ctx context.Context) (*Server, error) { return startJava(ctx, "fleet") }

// StartRosters starts the testbed's rosters (apps/rosters), on the server that Java has.
func StartRosters(ctx context.Context) (*Server, error) { return startJava(ctx, "rosters") }

// startJava starts apps/NAME, whose class NAME.Main gets the port and what follows.
func startJava(ctx context.Context, name string, args ...string) (*Server, error) {
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	classes, err := compileJava(name)
	if err != nil {
		return nil, err
	}
	s, err := StartProgram(ctx, Program{
		Name: name, Version: name + " on " + version(java, "-version"), Path: java, Env: []string{"OTEL_SERVICE_NAME=" + name},
		Args: func(addr, _ string) []string {
			return slices.Concat(jvmFlags, []string{"-cp", classes, name + ".Main", strconv.Itoa(port(addr))}, args)
		},
	})
	if err != nil {
		return nil, err
	}
	s.beside = keepPerfMap
	go keepPerfMap(s.Process)
	return s, nil
}

func dialOnce(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// compileJava compiles apps/NAME/src into bin/java/NAME, if a source is newer,
// and returns that directory. jars is what the sources need to compile.
func compileJava(name string, jars ...string) (string, error) {
	building.Lock()
	defer building.Unlock()
	root, err := Repository()
	if err != nil {
		return "", err
	}
	javac, err := find("javac")
	if err != nil {
		return "", err
	}
	src := filepath.Join(root, "testbed", "apps", name, "src")
	classes := filepath.Join(root, "testbed", "bin", "java", name)
	var sources []string
	var newest time.Time
	err = filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".java") {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		sources = append(sources, path)
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	done := filepath.Join(classes, ".compiled")
	if info, err := os.Stat(done); err == nil && info.ModTime().After(newest) {
		return classes, nil
	}
	if err := errors.Join(os.RemoveAll(classes), os.MkdirAll(classes, 0o755)); err != nil {
		return "", err
	}
	args := []string{"-d", classes}
	if len(jars) > 0 {
		args = append(args, "-cp", strings.Join(jars, ":"))
	}
	if out, err := exec.Command(javac, append(args, sources...)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("javac %s: %w: %s", name, err, out)
	}
	return classes, os.WriteFile(done, nil, 0o644)
}
