package scenario

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
)

// clerkAccepts: a loop around accept ends with EAGAIN each time, as it should.
func clerkAccepts() Scenario {
	return Scenario{
		Name:   "clerk-healthy-accepts",
		Title:  "a healthy server accepts until EAGAIN, a connection for every request",
		Server: "clerk", Language: C, Source: Own,
		Normal: "every client connects, asks and leaves; each accept is followed by one that fails",
		Steps: []Step{
			learning(),
			{Factor: 4, For: 25 * time.Second},
			{Factor: 1, For: 20 * time.Second},
			{Factor: 0.2, For: 20 * time.Second},
			{Factor: 2, For: 20 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			w, err := startClerk(ctx, usualClerk, nil)
			if err != nil {
				return Workload{}, err
			}
			addr := w.Server.Addr
			w.Load.Dial = func() (load.Client, error) { return connectingClerk{addr}, nil }
			return w, nil
		},
	}
}

type connectingClerk struct{ addr string }

func (connectingClerk) Close() error { return nil }

func (c connectingClerk) Request(r *rand.Rand) error {
	line, err := client.DialLine(c.addr)
	if err != nil {
		return err
	}
	defer line.Close()
	return clerkClient{line, usualMix}.Request(r)
}
