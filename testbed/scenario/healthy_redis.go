package scenario

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// redisSteps: five times the requests for a while, then a fifth.
func redisSteps() Scenario {
	return Scenario{
		Name:   "redis-healthy-load",
		Title:  "a healthy redis through load steps",
		Server: "redis", Language: C, Source: Debian,
		Normal: "a cache in use",
		Steps: []Step{
			learning(),
			{Factor: 5, For: 25 * time.Second},
			{Factor: 1, For: 15 * time.Second},
			{Factor: 0.2, For: 20 * time.Second},
			{Factor: 1, For: 15 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: redisLoad(s, 2000)}, nil
		},
	}
}

// redisMix: a new release of the application uses redis in another way.
func redisMix() Scenario {
	var released atomic.Bool
	return Scenario{
		Name:   "redis-healthy-mix",
		Title:  "a healthy redis gets clients that ask for other things",
		Server: "redis", Language: C, Source: Debian,
		Normal: "a cache in use: single reads and writes of 100 bytes",
		Steps: []Step{
			learning(),
			{
				Say: "a new release: lists, pipelines of five, values of 16 KiB beside the old requests",
				Do: func(context.Context) (func(), error) {
					released.Store(true)
					return nil, nil
				},
				For: 60 * time.Second,
			},
		},
		Start: func(ctx context.Context) (Workload, error) {
			released.Store(false)
			s, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			l := redisLoad(s, 2000)
			l.Dial = func() (load.Client, error) {
				c, err := client.DialRedis(s.Addr)
				if err != nil {
					return nil, err
				}
				return redisRelease{redisClient{c}, &released}, nil
			}
			return Workload{Server: s, Load: l}, nil
		},
	}
}

// redisRelease is a client that changes what it asks for.
type redisRelease struct {
	redisClient
	released *atomic.Bool
}

var redisLarge = strings.Repeat("large ", 16<<10/6)

func (c redisRelease) Request(r *rand.Rand) error {
	if !c.released.Load() {
		return c.redisClient.Request(r)
	}
	key := strconv.Itoa(r.IntN(redisKeyspace))
	large := "page:" + strconv.Itoa(r.IntN(1000))
	var err error
	switch r.IntN(20) {
	case 0, 1, 2:
		err = c.Pipeline([]string{"LPUSH", "list:" + key, redisValue}, []string{"LTRIM", "list:" + key, "0", "19"})
	case 3, 4, 5:
		_, err = c.Do("LRANGE", "list:"+key, "0", "9")
	case 6, 7, 8, 9:
		err = c.Pipeline(
			[]string{"GET", "key:" + key}, []string{"INCR", "count:" + key}, []string{"SET", "key:" + key, redisValue},
			[]string{"EXISTS", "list:" + key}, []string{"GET", "count:" + key},
		)
	case 10:
		_, err = c.Do("SET", large, redisLarge)
	case 11, 12:
		_, err = c.Do("GET", large)
	default:
		err = c.redisClient.Request(r)
	}
	return err
}

// redisRestart: an update of the package: the server ends and another process
// with its data takes its place.
func redisRestart() Scenario {
	var s *server.Server
	settings := []string{"--appendonly", "yes", "--enable-debug-command", "local"}
	restart := func(ctx context.Context) (func(), error) { return nil, s.Restart(ctx, nil) }
	return Scenario{
		Name:   "redis-healthy-restart",
		Title:  "a healthy redis is restarted twice",
		Server: "redis", Language: C, Source: Debian,
		Normal: "a cache of 100,000 keys in use, with an append-only file",
		Steps: []Step{
			learning(),
			{Say: "restarted: it reads its file, the clients come again", Do: restart, For: 40 * time.Second},
			{Say: "restarted once more", Do: restart, For: 30 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = startFilledRedis(ctx, "100000", settings...); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: redisLoad(s, 2000)}, nil
		},
	}
}

// redisBackup: the ways to save the data of a redis.
func redisBackup() Scenario {
	var s *server.Server
	return Scenario{
		Name:   "redis-healthy-backup",
		Title:  "a healthy redis is backed up",
		Server: "redis", Language: C, Source: Debian,
		Normal: "a cache of 300,000 keys in use, with an append-only file",
		Steps: []Step{
			learning(),
			{
				Say: "BGSAVE: a child writes the snapshot",
				Do: func(context.Context) (func(), error) {
					return nil, redisDo(s, "BGSAVE", "SCHEDULE") // after a rewrite that is under way
				},
				For: 20 * time.Second,
			},
			{
				Say: "redis-cli --rdb: the snapshot goes over a connection",
				Do: func(ctx context.Context) (func(), error) {
					host, port, _ := strings.Cut(s.Addr, ":")
					return nil, s.RunTool(ctx, []string{"redis-cli"}, "-h", host, "-p", port, "--rdb", filepath.Join(s.Dir, "backup.rdb"))
				},
				For: 15 * time.Second,
			},
			{
				Say: "BGREWRITEAOF: a child writes the append-only file anew",
				Do: func(context.Context) (func(), error) {
					return nil, redisDo(s, "BGREWRITEAOF")
				},
				For: 25 * time.Second,
			},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = startFilledRedis(ctx, "300000", "--appendonly", "yes", "--enable-debug-command", "local"); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: redisLoad(s, 2000)}, nil
		},
	}
}

// redisNeighbour: other programs use the cores and the disk.
func redisNeighbour() Scenario {
	var s *server.Server
	return Scenario{
		Name:   "redis-healthy-neighbour",
		Title:  "a healthy redis with neighbours on its cores and its disk",
		Server: "redis", Language: C, Source: Debian,
		Normal: "a cache in use, with an append-only file",
		Steps: []Step{
			learning(),
			{
				Say: "two programs compress as fast as they can, one for each core",
				Do:  func(context.Context) (func(), error) { return burnCPU(2) },
				For: 25 * time.Second,
			},
			{Say: "quiet again", For: 10 * time.Second},
			{
				Say: "a program writes 20 MB a second to the disk",
				Do: func(ctx context.Context) (func(), error) {
					return meanwhile(ctx, func(ctx context.Context) { writeDisk(ctx, filepath.Join(s.Dir, "neighbour")) }), nil
				},
				For: 25 * time.Second,
			},
			{Say: "quiet again", For: 10 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = server.StartRedis(ctx, "--appendonly", "yes"); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: redisLoad(s, 2000)}, nil
		},
	}
}

// startFilledRedis starts a redis with keys of 100 bytes in it.
func startFilledRedis(ctx context.Context, keys string, settings ...string) (*server.Server, error) {
	s, err := server.StartRedis(ctx, settings...)
	if err != nil {
		return nil, err
	}
	err = redisDo(s, "DEBUG", "POPULATE", keys, "session", "100")
	if err == nil && strings.Contains(strings.Join(settings, " "), "appendonly yes") {
		// DEBUG POPULATE is not in the append-only file, which is what a
		// restart reads.
		err = redisDo(s, "BGREWRITEAOF")
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// burnCPU starts programs that compress noise.
func burnCPU(programs int) (end func(), err error) {
	var started []*proc.Process
	end = func() {
		for _, p := range started {
			_ = p.Stop(time.Second) // it is told to end
		}
	}
	for range programs {
		// The time is bounded even if nobody ends it.
		p, err := proc.Start(proc.Options{Path: "/usr/bin/timeout", Args: []string{"60", "gzip", "-c", "/dev/urandom"}, Output: os.DevNull})
		if err != nil {
			end()
			return nil, err
		}
		started = append(started, p)
	}
	return end, nil
}

const (
	diskChunk = 1 << 20
	// diskFile bounds the file that writeDisk writes over and over.
	diskFile = 200 << 20
)

// writeDisk writes 20 MB a second and has them on the disk every half second,
// as a database would.
func writeDisk(ctx context.Context, path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	chunk := make([]byte, diskChunk)
	for i := range chunk {
		chunk[i] = byte(rand.Uint32())
	}
	at := int64(0)
	every(ctx, 500*time.Millisecond, func() {
		for range 10 {
			if _, err := f.WriteAt(chunk, at); err != nil {
				return
			}
			at = (at + diskChunk) % diskFile
		}
		_ = f.Sync() // a full disk shows elsewhere
	})
}
