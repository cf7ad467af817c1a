package scenario

import (
	"context"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// javaCollects: a JVM that has its past, a steady load, and a heap that is
// collected again and again.
func javaCollects() Scenario {
	return Scenario{
		Name:   "java-healthy-gc",
		Title:  "a healthy Java server collects its garbage",
		Server: "parcels", Language: Java, Source: Own,
		Normal: "parcels are looked at, moved and priced under a steady load",
		Steps: []Step{
			learning(),
			{Say: "nothing happens", For: 40 * time.Second},
			{Say: "half as much again to do", Factor: 1.5, For: 25 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			w, err := startParcels(ctx, func(context.Context, *server.Server, *ratesService) (func(), error) { return nil, nil })
			w.Fault = nil
			return w, err
		},
	}
}
