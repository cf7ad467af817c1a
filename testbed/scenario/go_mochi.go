package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// mochiWildcards: retained messages are kept in a tree of topics, and a
// subscription with a wildcard walks all that it may match, on the subscriber's
// account or not.
func mochiWildcards() Scenario {
	return Scenario{
		Name:   "mochi-wildcards",
		Title:  "an MQTT broker copies its tree of topics for subscriptions that match next to nothing",
		Server: "mochi", Language: Go, Kind: Allocation, Source: GoModule, Split: Report,
		Normal: "20,000 sensors' last values are retained; sensors publish, people look at rooms",
		Fault:  "six monitors look for low batteries ten times a second, rooms/+/+/battery: there are none, and each look walks 20,000 topics",
		// topics.go at v2.7.9: for each level with a wildcard scanMessages has
		// getAll copy the map of children, with its lock held, and goes into
		// each of them.
		// https://github.com/mochi-mqtt/server/blob/v2.7.9/topics.go
		Truth: []string{
			mochiPackage + "(*TopicsIndex).scanMessages", mochiPackage + "(*particles).getAll",
			mochiPackage + "(*TopicsIndex).Messages",
		},
		Patterns: []string{"allocation_churn", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartMochi(ctx, "v2.7.9")
			return underRooms(s, err, 1500, func(ctx context.Context) (func(), error) { return watchBatteries(ctx, s.Addr) })
		},
	}
}

const mochiPackage = "github.com/mochi-mqtt/server/v2."

func watchBatteries(ctx context.Context, addr string) (func(), error) {
	var ends []func()
	end := func() {
		for _, end := range ends {
			end()
		}
	}
	for i := range 6 {
		c, err := client.DialMQTT(addr, fmt.Sprintf("monitor%d", i))
		if err != nil {
			end()
			return nil, err
		}
		ends = append(ends, repeat(ctx, 100*time.Millisecond, func(context.Context) { _, _ = c.Look("rooms/+/+/battery") }), func() { c.Close() })
	}
	return end, nil
}
