package scenario

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// redisThrottle is a rate limiter as applications have it: it lets the window
// of a client move on, one step at a time, until it has reached the present.
const redisThrottle = `
local now, step = tonumber(ARGV[1]), tonumber(ARGV[2])
local from = tonumber(redis.call('GET', KEYS[1]) or now)
while from ~= now do
  from = from + step
  if from > now and step > 1 then from = now end
end
redis.call('SET', KEYS[1], from, 'PX', 60000)
return from`

// redisScript: a script in the path of many requests never ends for one of
// them, and redis serves nobody until somebody kills it:
// https://github.com/redis/redis/issues/11215 ("limit the impact of infinite
// scripts").
func redisScript() Scenario {
	return Scenario{
		Name:   "redis-script",
		Title:  "redis computes: a script that never ends for one client",
		Server: "redis", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "a cache in use; one request in ten runs a rate limiter, which is a script",
		Fault:  "the clock of one client is behind: the script counts up to a moment that has passed, and never ends",
		// src/eval.c and src/script_lua.c run the script; luaV_execute of
		// deps/lua (part of redis-server) is the loop that interprets it, which
		// has no name in Debian's program and is shown by where it starts
		// (5:7.0.15-1~deb12u7).
		Truth:    []string{"evalGenericCommand", "evalCommand", "luaCallFunction", "luaV_execute", "redis-server+0x161280"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			w := Workload{Server: s, Load: redisLoad(s, 800)}
			w.Load.Dial = func() (load.Client, error) {
				c, err := client.DialRedis(s.Addr)
				if err != nil {
					return nil, err
				}
				return throttled{redisClient{c}}, nil
			}
			w.Fault = func(ctx context.Context) (func(), error) { return askEarlier(ctx, s) }
			return w, nil
		},
	}
}

// throttled has one request in ten limited.
type throttled struct{ redisClient }

func (c throttled) Request(r *rand.Rand) error {
	if r.IntN(10) > 0 {
		return c.redisClient.Request(r)
	}
	_, err := c.throttle(throttleKeys[r.IntN(len(throttleKeys))], time.Now(), "10")
	return err
}

var throttleKeys = []string{"limit:web", "limit:app", "limit:partner"}

// throttle asks for the window of a client, in steps of milliseconds.
func (c throttled) throttle(key string, now time.Time, step string) (int, error) {
	return c.Do("EVAL", redisThrottle, "1", key, strconv.FormatInt(now.UnixMilli(), 10), step)
}

// askEarlier asks as of an hour ago, and does not wait for the answer that
// never comes.
func askEarlier(ctx context.Context, s *server.Server) (func(), error) {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return nil, err
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		limiter := throttled{redisClient{c}}
		_, _ = limiter.throttle("limit:late", time.Now(), "1")
		_, _ = limiter.throttle("limit:late", time.Now().Add(-time.Hour), "1")
	}()
	return func() {
		// Redis listens to this once it finds the script slow, after 5 s.
		_ = redisDo(s, "SCRIPT", "KILL")
		c.Close()
		<-asked
	}, nil
}
