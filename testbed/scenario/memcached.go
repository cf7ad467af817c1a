package scenario

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

func memcached() []Scenario { return []Scenario{memcachedDump()} }

// memcachedKeys are more than fit into the cache: it is full, as caches are.
const memcachedKeys = 500_000

// memcachedLoad reads single keys and several, and writes a third of the
// time, which evicts others.
func memcachedLoad(s *server.Server, perSecond float64) load.Config {
	return load.Config{
		Workers: 8,
		Rate:    perSecond,
		Dial: func() (load.Client, error) {
			c, err := client.DialMemcached(s.Addr)
			if err != nil {
				return nil, err
			}
			return memcachedClient{c}, nil
		},
	}
}

type memcachedClient struct{ *client.Memcached }

func (c memcachedClient) Request(r *rand.Rand) error {
	i := r.IntN(memcachedKeys)
	var command []byte
	switch r.IntN(20) {
	case 0:
		command = fmt.Appendf(nil, "delete session:%d\r\n", i)
	case 1:
		command = fmt.Appendf(nil, "touch session:%d 3600\r\n", i)
	case 2: // of something that is no number, for the most part
		command = fmt.Appendf(nil, "incr count:%d 1\r\n", i%100)
	case 3, 4:
		command = append(command, "get"...)
		for range 10 {
			command = fmt.Appendf(command, " session:%d", r.IntN(memcachedKeys))
		}
		command = append(command, "\r\n"...)
	case 5, 6, 7, 8, 9, 10:
		command = memcachedSet(nil, i, "")
	default:
		command = fmt.Appendf(nil, "get session:%d\r\n", i)
	}
	_, err := c.Do(command)
	return err
}

var memcachedValue = strings.Repeat("v", 400)

// memcachedSet appends a command that stores a session, whose size depends on
// its number.
func memcachedSet(to []byte, i int, noreply string) []byte {
	value := memcachedValue[:50+i%350]
	return fmt.Appendf(to, "set session:%d 0 3600 %d%s\r\n%s\r\n", i, len(value), noreply, value)
}

// fillMemcached stores every key once.
func fillMemcached(s *server.Server) error {
	c, err := client.DialMemcached(s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	var commands []byte
	for i := range memcachedKeys {
		commands = memcachedSet(commands, i, " noreply")
		if len(commands) > 1<<20 || i == memcachedKeys-1 {
			if err := c.Send(commands); err != nil {
				return err
			}
			commands = commands[:0]
		}
	}
	// Answered when all of them are done.
	_, err = c.Do([]byte("version\r\n"))
	return err
}
