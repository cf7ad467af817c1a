package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// happen does to an instance what a happening says, and takes it back.
func (in *instance) happen(ctx context.Context, h Happening) error {
	switch h.Kind {
	case LoadStep, Night:
		return in.step(ctx, h)
	case LoadRamp:
		return in.ramp(ctx, h)
	case Batch:
		return in.batch(ctx, h)
	case Restart, Rolling:
		return in.restart(ctx, nil)
	case Deploy:
		return in.deploy(ctx)
	}
	err := in.operate(ctx, h.Kind)
	if err == nil {
		pause(ctx, 5*time.Second) // what it sets going goes on
	}
	return err
}

// operate does what an administrator does.
func (in *instance) operate(ctx context.Context, kind Kind) error {
	s, o := in.work.Server, kinds[in.Scenario.Server]
	switch kind {
	case Reload:
		in.disturb(30 * time.Second) // connections may be closed
		return s.Signal(o.reload)
	case Rotate:
		return in.rotate(ctx, o)
	case Cron:
		return in.cron(ctx)
	case Dump:
		return o.dump(ctx, s)
	case Tar:
		return in.tar(ctx)
	case Maintain:
		return o.maintain(ctx, s)
	case Flush:
		if o.flush != nil {
			return o.flush(ctx, s)
		}
		return dropPages(s.Dir)
	case Collect:
		return o.collect(ctx, s)
	}
	return fmt.Errorf("%s does not happen to a server", kind)
}

func (in *instance) step(ctx context.Context, h Happening) error {
	defer in.load.SetRate(in.rate)
	if h.Kind == Night {
		in.disturb(h.For + 30*time.Second) // idle connections are closed
	}
	in.load.SetRate(in.rate * h.Factor)
	pause(ctx, h.For)
	return nil
}

// ramp goes up in eight steps and down in eight.
func (in *instance) ramp(ctx context.Context, h Happening) error {
	defer in.load.SetRate(in.rate)
	const steps = 8
	for i := range 2*steps + 1 {
		part := float64(steps-max(i-steps, steps-i)) / steps
		in.load.SetRate(in.rate * (1 + (h.Factor-1)*part))
		pause(ctx, h.For/(2*steps+1))
	}
	return nil
}

// batch adds what a nightly job does: the usual requests over connections of its
// own, and the heavy one that somebody makes now and then.
func (in *instance) batch(ctx context.Context, h Happening) error {
	ctx, cancel := context.WithTimeout(ctx, h.For)
	defer cancel()
	job := in.work.Load
	job.Workers, job.Rate = min(2, job.Workers), in.rate*h.Factor
	l := load.Start(ctx, job)
	defer l.Stop()
	if report := kinds[in.Scenario.Server].report; report != nil {
		return repeat(ctx, 200*time.Millisecond, func() error { return report(ctx, in.work.Server) })
	}
	<-ctx.Done()
	return nil
}

// cron is what runs every hour: short programs over the server's files, and a
// client that comes, asks and goes.
func (in *instance) cron(ctx context.Context) error {
	for range 3 {
		err := in.beside(ctx, fmt.Sprintf(`find %[1]s -xdev -type f -size -4M | head -n 100 | xargs -r md5sum | sort | uniq -c >/dev/null`, in.work.Server.Dir))
		if err != nil {
			return err
		}
		job := in.work.Load
		job.Workers = min(2, job.Workers)
		l := load.Start(ctx, job)
		pause(ctx, 2*time.Second)
		l.Stop()
		pause(ctx, 3*time.Second)
	}
	return nil
}

// tar packs the server's files beside them, as a backup does. That a file
// changes meanwhile is usual.
func (in *instance) tar(ctx context.Context) error {
	file := filepath.Join(in.work.Server.Dir, "life.tar.gz")
	defer os.Remove(file)
	return in.beside(ctx, fmt.Sprintf(`tar -c --warning=none --one-file-system --exclude=life.tar.gz --exclude=releases -C %s . | head -c 128M | gzip -1 >%s || true`, in.work.Server.Dir, file))
}

// rotate does what logrotate would: it renames the logs of a server that opens
// them again, and copies and empties those of another; then they are compressed.
func (in *instance) rotate(ctx context.Context, o operations) error {
	s := in.work.Server
	var rotated []string
	if o.reopen != 0 {
		for _, name := range []string{"access.log", "error.log", "own/access.log", "own/error.log"} {
			log := filepath.Join(s.Dir, name)
			if err := os.Rename(log, log+".1"); err == nil {
				rotated = append(rotated, log+".1")
			}
		}
		if err := s.Signal(o.reopen); err != nil {
			return err
		}
	} else {
		log := s.Options().Output
		if err := in.beside(ctx, fmt.Sprintf("cp %[1]s %[1]s.1 && truncate -s 0 %[1]s", log)); err != nil {
			return err
		}
		rotated = append(rotated, log+".1")
	}
	pause(ctx, time.Second) // it may still write to them
	for _, file := range rotated {
		if err := in.beside(ctx, "gzip -f "+file); err != nil {
			return err
		}
		os.Remove(file + ".gz")
	}
	return nil
}

// beside runs a line of the shell to its end.
func (in *instance) beside(ctx context.Context, line string) error {
	return in.work.Server.RunTool(ctx, []string{"/bin/sh"}, "-c", line)
}

// deploy starts the same program from another path, as a new release of it that
// has no change.
func (in *instance) deploy(ctx context.Context) error {
	root, err := server.Repository()
	if err != nil {
		return err
	}
	release, err := os.MkdirTemp(in.work.Server.Dir, "release-")
	if err != nil {
		return err
	}
	if err := os.Chmod(release, 0o755); err != nil {
		return err
	}
	o := in.work.Server.Options()
	from, to := releaseOf(root, o, release)
	if err := in.beside(ctx, fmt.Sprintf("cp -rL %s %s", from, to)); err != nil {
		return err
	}
	err = in.restart(ctx, func(o *proc.Options) {
		o.Path = strings.Replace(o.Path, from, to, 1)
		for i, arg := range o.Args {
			o.Args[i] = strings.Replace(arg, from, to, 1)
		}
	})
	// The release before it is not needed any more, unless it is the first.
	if old := filepath.Dir(from); err == nil && strings.HasPrefix(old, in.work.Server.Dir) {
		err = os.RemoveAll(old)
	}
	return err
}

// releaseOf says what is copied for a release, and where to: the program, or what
// an interpreter or a virtual machine runs.
func releaseOf(root string, o proc.Options, release string) (from, to string) {
	from = o.Path
	for _, arg := range o.Args {
		switch {
		case strings.HasPrefix(arg, filepath.Join(root, "testbed", "bin", "java")):
			from = arg // classes
		case filepath.Base(arg) == "server.js":
			from = filepath.Dir(arg)
		}
	}
	return from, filepath.Join(release, filepath.Base(from))
}

// dropPages takes the files of a directory out of the page cache.
func dropPages(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return nil // it has gone
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
