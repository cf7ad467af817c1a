package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// activemqPersistent: messages that must not be lost are on the disk before
// they are acknowledged: "enableJournalDiskSyncs" of
// https://activemq.apache.org/components/classic/documentation/kahadb.
func activemqPersistent() Scenario {
	return Scenario{
		Name:   "activemq-persistent",
		Title:  "activemq waits for the disk at every message",
		Server: "activemq", Language: Java, Kind: SyncWrite, Source: Debian, Split: Tune,
		Normal: "eight clients publish to topics with durable subscribers; what is lost in a crash is lost",
		Fault:  "the clients make their messages persistent",
		// https://github.com/apache/activemq/blob/activemq-5.17.x/activemq-kahadb-store/src/main/java/org/apache/activemq/store/kahadb/disk/journal/DataFileAppender.java:
		// the thread that writes a batch and syncs the file; the JDK's
		// FileDispatcherImpl.force0 calls fsync.
		Truth: []string{
			"org.apache.activemq.store.kahadb.disk.journal.DataFileAppender.processQueue", "sun.nio.ch.FileDispatcherImpl.force0",
		},
		Patterns: []string{"sync_write_per_operation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartActiveMQ(ctx)
			if err != nil {
				return Workload{}, err
			}
			var persistent atomic.Bool
			requests := topicLoad(s, &persistent)
			warmUp(ctx, requests)
			return Workload{
				Server: s,
				Load:   requests,
				Fault: func(context.Context) (func(), error) {
					persistent.Store(true)
					return func() {}, nil
				},
			}, nil
		},
	}
}

// topicLoad has each client publish to a topic of its own and subscribe to it.
func topicLoad(s *server.Server, persistent *atomic.Bool) load.Config {
	var clients atomic.Int64
	return load.Config{Workers: 8, Rate: 200, Dial: func() (load.Client, error) {
		name := fmt.Sprintf("orders.%d", clients.Add(1))
		c, err := client.DialSTOMP(s.Addr, name)
		if err != nil {
			return nil, err
		}
		if err := c.Subscribe("/topic/" + name); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return topicClient{c, "/topic/" + name, persistent}, nil
	}}
}

type topicClient struct {
	*client.STOMP
	topic      string
	persistent *atomic.Bool
}

var order = strings.Repeat("an order of some lines, ", 20)

func (c topicClient) Request(*rand.Rand) error { return c.Send(c.topic, order, c.persistent.Load()) }
