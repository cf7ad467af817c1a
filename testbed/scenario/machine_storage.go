package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/group"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// writers is how many programs write to the disk beside a server.
const writers = 4

// again runs a program over and over, in its own group if there is one, until it is
// ended.
func again(ctx context.Context, g *group.Group, name string, args ...string) (end func()) {
	return meanwhile(ctx, func(ctx context.Context) {
		for ctx.Err() == nil {
			c := exec.CommandContext(ctx, name, args...)
			c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if c.Start() != nil {
				return
			}
			if g != nil {
				_ = g.Add(c.Process.Pid) // it may have ended
			}
			_ = c.Wait() // it is killed in the end
		}
	})
}

func postgresDisk() Scenario {
	return external("postgres-disk", "postgres beside programs that sync what they write", "postgres", C,
		"payments, each of which waits for the disk", "four dd write to the same disk and sync it, over and over",
		func(ctx context.Context) (Workload, error) {
			s, err := startShop(ctx, 20_000)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s, Load: shopLoad(s, 200, paymentRequest(20_000)),
				Fault: func(ctx context.Context) (func(), error) {
					var ends []func()
					for i := range writers {
						file := filepath.Join(s.Dir, "backup"+strconv.Itoa(i))
						ends = append(ends, again(ctx, nil, "dd", "if=/dev/zero", "of="+file, "bs=1M", "count=400", "conv=fsync", "status=none"))
					}
					return func() {
						for _, end := range ends {
							end()
						}
					}, nil
				},
			}, nil
		})
}

// disk is the number of the device that holds a directory, as control groups write it.
func disk(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}

// archived is how many rows of a kilobyte the archive has: more than the pool holds.
const archived = 150_000

func mariadbThrottle() Scenario {
	return external("mariadb-throttle", "mariadb may read less of its disk", "mariadb", C,
		"a shop that looks things up in an archive, which is larger than the buffer pool", "its control group may make twenty reads a second",
		func(ctx context.Context) (Workload, error) {
			s, err := server.StartMariaDB(ctx, "--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=O_DIRECT", "--innodb-buffer-pool-size=16M")
			if err != nil {
				return Workload{}, err
			}
			if err := fillArchive(ctx, s); err != nil {
				return stopAfter(err, s)
			}
			w := Workload{Server: s, Load: load.Config{Workers: 8, Rate: 200, Dial: func() (load.Client, error) {
				c, err := client.DialMariaDB(ctx, s.Addr, "shop")
				if err != nil {
					return nil, err
				}
				return archiveClient{c}, nil
			}}}
			w, g, err := inGroup(w, nil, "mariadb-throttle", "blkio")
			if err != nil {
				return w, err
			}
			w.Fault = func(context.Context) (func(), error) {
				number, err := disk(s.Dir)
				if err != nil {
					return nil, err
				}
				limit := func(perSecond int) error {
					return g.Set("blkio", "blkio.throttle.read_iops_device", fmt.Sprintf("%s %d", number, perSecond))
				}
				return func() { _ = limit(0) }, limit(20)
			}
			return w, nil
		})
}

func fillArchive(ctx context.Context, s *server.Server) error {
	c, err := client.DialMariaDB(ctx, s.Addr, "shop")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, statement := range []string{
		"CREATE TABLE archive (id INT PRIMARY KEY, note TEXT) ENGINE=InnoDB",
		fmt.Sprintf("INSERT INTO archive SELECT seq, REPEAT('x', 1000) FROM seq_1_to_%d", archived),
	} {
		if err := c.Query(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

type archiveClient struct{ *client.MariaDB }

func (c archiveClient) Request(r *rand.Rand) error {
	return c.Query("SELECT length(note) FROM archive WHERE id = ?", 1+r.IntN(archived))
}

// The large files: together largeFiles MiB.
const largeFiles, mebibyte = 150, 1 << 20

// apacheLarge serves large files, which are in no cache yet, in a control group.
func apacheLarge(ctx context.Context, name string) (Workload, *group.Group, error) {
	s, err := server.StartApache(ctx, "event", nil)
	if err != nil {
		return Workload{}, nil, err
	}
	if err := os.Mkdir(filepath.Join(s.Dir, "www", "large"), 0o755); err != nil {
		w, err := stopAfter(err, s)
		return w, nil, err
	}
	for i := range largeFiles {
		if err := coldFile(filepath.Join(s.Dir, "www", "large", strconv.Itoa(i)+".bin"), mebibyte); err != nil {
			w, err := stopAfter(err, s)
			return w, nil, err
		}
	}
	w := Workload{Server: s, Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
		return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/large/%d.bin", s.Addr, r.IntN(largeFiles)), nil)
	})}
	return inGroup(w, nil, name, "memory")
}

// coldFile writes a file that nothing of is in memory.
func coldFile(path string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	content := make([]byte, mebibyte)
	for left := size; left > 0 && err == nil; left -= len(content) {
		_, err = f.Write(content[:min(left, len(content))])
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return errors.Join(err, f.Close())
}

func apacheMemory() Scenario {
	return external("apache-memory", "apache has a third of the memory that its files need", "apache", C,
		"150 MiB of files, all in the page cache", "the memory of the control group is limited to 50 MiB",
		func(ctx context.Context) (Workload, error) {
			w, g, err := apacheLarge(ctx, "apache-memory")
			if err != nil {
				return w, err
			}
			w.Fault = func(context.Context) (func(), error) {
				return func() { _ = g.Set("memory", "memory.limit_in_bytes", "-1") }, limitMemory(g, 50*mebibyte)
			}
			return w, nil
		})
}

// limitMemory tries until what is beyond the limit is taken back.
func limitMemory(g *group.Group, bytes int64) (err error) {
	for range 20 {
		if err = g.Set("memory", "memory.limit_in_bytes", strconv.FormatInt(bytes, 10)); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func apacheCache() Scenario {
	return external("apache-cache", "apache shares its memory with a program that reads a large file", "apache", C,
		"150 MiB of files in the page cache, in a control group of 250 MiB", "cat reads a file of 600 MiB over and over in the same group",
		func(ctx context.Context) (Workload, error) {
			w, g, err := apacheLarge(ctx, "apache-cache")
			if err != nil {
				return w, err
			}
			file := filepath.Join(w.Server.Dir, "backup")
			if err := errors.Join(coldFile(file, 600*mebibyte), limitMemory(g, 250*mebibyte)); err != nil {
				return stopAfter(err, w.Server)
			}
			w.Fault = func(ctx context.Context) (func(), error) {
				return again(ctx, g, "sh", "-c", "exec cat "+file+" >/dev/null"), nil
			}
			return w, nil
		})
}
