package scenario

import (
	"context"
	"sync"
	"time"
)

func healthy() []Scenario {
	return []Scenario{
		nginxHealthy(), nginxReload(),
		redisSteps(), redisMix(), redisRestart(), redisBackup(), redisNeighbour(),
		postgresMix(), postgresWrites(), postgresCron(), postgresBesideNginx(),
		clerkAccepts(),
		goCollects(), javaCollects(),
	}
}

// learning is the step that a past is made of.
func learning() Step { return Step{Factor: 1, For: DefaultLearn} }

// meanwhile runs f beside the load until the returned function is called.
func meanwhile(ctx context.Context, f func(ctx context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// every calls f now and then again until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for ctx.Err() == nil {
		f()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
