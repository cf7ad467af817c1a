package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	zookeeperGroups   = 24
	zookeeperSettings = 50 // of a group
	zookeeperServices = 300
)

// zookeeperWatches: the list of who watches what is written to whoever asks for
// it with the lock held that each watched read and each change needs.
func zookeeperWatches() Scenario {
	return Scenario{
		Name:   "zookeeper-watches",
		Title:  "ZooKeeper waits for a monitor that reads a list of 360,000 watches slowly",
		Server: "zookeeper", Language: Java, Kind: LockConvoy, Source: Debian, Split: Report,
		Normal: "three hundred services watch all of 1,200 settings and read those that change; others read, list and change them",
		Fault:  "a monitor asks who watches what (wchp), again and again, and takes the 7 MB at 2 MB/s: nobody else is answered meanwhile",
		// https://github.com/apache/zookeeper/blob/release-3.8.0/zookeeper-server/src/main/java/org/apache/zookeeper/server/watch/WatchManager.java
		// dumpWatches is synchronized and writes to the connection, which
		// blocks (NIOServerCnxn.sendBufferSync); addWatch and triggerWatch, for
		// reads and changes, wait in the one thread that answers all. WatchCommand
		// has it done, by way of DataTree. CVE-2017-5637 is about the same
		// commands.
		Truth: []string{
			"org.apache.zookeeper.server.watch.WatchManager.dumpWatches", "org.apache.zookeeper.server.DataTree.dumpWatches",
			"org.apache.zookeeper.server.command.WatchCommand.commandRun",
		},
		Patterns: []string{"lock_wait", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartZooKeeper(ctx)
			if err != nil {
				return Workload{}, err
			}
			end, err := followSettings(s.Addr)
			if err != nil {
				return stopAfter(err, s)
			}
			requests := zookeeperLoad(s, 600)
			warmUp(ctx, requests)
			return Workload{
				Server: s,
				Load:   requests,
				Fault: func(ctx context.Context) (func(), error) {
					return repeat(ctx, time.Second, func(ctx context.Context) {
						_ = client.ZooKeeperCommand(ctx, s.Addr, "wchp", 2<<20)
					}), nil
				},
				Stop: end,
			}, nil
		},
	}
}

func settingPath(group, setting int) string {
	return fmt.Sprintf("/group%d/setting%d", group, setting)
}

// followSettings makes the settings and the services that watch them.
func followSettings(addr string) (end func(), err error) {
	c, err := client.DialZooKeeper(addr)
	if err != nil {
		return nil, err
	}
	var paths []string
	for group := range zookeeperGroups {
		err = errors.Join(err, c.Create(fmt.Sprintf("/group%d", group), nil))
		for setting := range zookeeperSettings {
			path := settingPath(group, setting)
			err = errors.Join(err, c.Create(path, bytes.Repeat([]byte("value "), 30)))
			paths = append(paths, path)
		}
	}
	sessions := []*client.ZooKeeper{c}
	end = func() {
		for _, c := range sessions {
			c.Close()
		}
	}
	for range zookeeperServices {
		c, failed := client.DialZooKeeper(addr)
		if err = errors.Join(err, failed); err != nil {
			end()
			return nil, err
		}
		sessions = append(sessions, c)
		go func() { _ = c.Follow(paths) }() // until it is closed
	}
	return end, nil
}

func zookeeperLoad(s *server.Server, rate float64) load.Config {
	return load.Config{
		Workers: 12,
		Rate:    rate,
		Dial: func() (load.Client, error) {
			c, err := client.DialZooKeeper(s.Addr)
			return zookeeperRequests{c}, err
		},
	}
}

type zookeeperRequests struct{ *client.ZooKeeper }

func (c zookeeperRequests) Request(r *rand.Rand) error {
	group, setting := r.IntN(zookeeperGroups), r.IntN(zookeeperSettings)
	var err error
	switch n := r.IntN(600); {
	case n == 0:
		err = c.Set(settingPath(group, setting), bytes.Repeat([]byte("other "), 20+r.IntN(20)))
	case n < 90:
		_, err = c.Children(fmt.Sprintf("/group%d", group))
	default:
		_, err = c.Get(settingPath(group, setting), n%10 == 0)
	}
	return err
}
