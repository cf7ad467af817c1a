package scenario

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

func redis() []Scenario {
	return []Scenario{redisFsync(), redisAccept(), redisKeys(), redisUnion(), redisScript()}
}

// redisKeyspace is how many keys the load reads and writes.
const redisKeyspace = 10_000

// redisLoad is a cache in use: two reads for one write, and now and then a
// counter and a short list.
func redisLoad(s *server.Server, perSecond float64) load.Config {
	return load.Config{
		Workers: 8,
		Rate:    perSecond,
		Dial: func() (load.Client, error) {
			c, err := client.DialRedis(s.Addr)
			if err != nil {
				return nil, err
			}
			return redisClient{c}, nil
		},
	}
}

type redisClient struct{ *client.Redis }

var redisValue = strings.Repeat("v", 100)

func (c redisClient) Request(r *rand.Rand) error {
	key := strconv.Itoa(r.IntN(redisKeyspace))
	var err error
	switch r.IntN(20) {
	case 0:
		_, err = c.Do("INCR", "count:"+key)
	case 1:
		_, err = c.Do("LPUSH", "list:"+key, redisValue)
	case 2:
		_, err = c.Do("LTRIM", "list:"+key, "0", "9")
	case 3, 4, 5, 6, 7, 8:
		_, err = c.Do("SET", "key:"+key, redisValue)
	default:
		_, err = c.Do("GET", "key:"+key)
	}
	return err
}

// redisDo sends one command over a connection of its own.
func redisDo(s *server.Server, args ...string) error {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Do(args...); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}
