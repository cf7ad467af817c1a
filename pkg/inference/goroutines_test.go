package inference

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// parked is where goroutines of one creator wait: count of them on average.
type parked struct {
	stack  string
	number int32
	count  float64
}

// goroutines has the server's goroutines of one creator be looked at, every 400 ms,
// as the receiver tells of them: each that is seen stands for scale of them.
func goroutines(creator int32, population int, scale float64, places ...parked) func(*server) {
	const look = 2 * tick
	return func(s *server) {
		b := &threadtrace.Batch{ThreadID: -creator, ThreadName: fmt.Sprint("goroutines of ", creator)}
		for _, p := range places {
			b.Stacks = append(b.Stacks, s.stack(p.stack))
		}
		for at := int64(0); at < second; at += look {
			for i, p := range places {
				n := scale * math.Floor(p.count/scale)
				if s.rng.Float64() < p.count/scale-math.Floor(p.count/scale) {
					n += scale
				}
				if n > 0 {
					b.Events = append(b.Events, threadtrace.Event{
						Kind: threadtrace.KindBlocked, Time: s.now + at, Duration: int64(n * float64(look)),
						Number: p.number, Stack: uint32(i + 1), Population: uint16(min(population, math.MaxUint16)),
					})
				}
			}
		}
		s.analyzer.AddBatch(b)
	}
}

func all(parts ...func(*server)) func(*server) {
	return func(s *server) {
		for _, p := range parts {
			p(s)
		}
	}
}

// httpServer has 24 goroutines of a server of HTTP, so many of which wait at places
// amid their work.
func httpServer(places ...parked) func(*server) {
	busy := 0.0
	for _, p := range places {
		busy += p.count
	}
	idle := parked{"%readRequest %serve", threadtrace.WaitIO, 24 - busy}
	return goroutines(1, 24, 1, append(places, idle)...)
}

func TestGoroutinesThatWaitAreToldWithTheirFunction(t *testing.T) {
	const normally, fault = 60, 30
	asks := parked{"%Read ask show %serve", threadtrace.WaitIO, 0.4}
	writer := func(n float64) func(*server) {
		return goroutines(2, 1, 1, parked{"write main", threadtrace.WaitChanReceive, n})
	}
	slow := steady(0.04)
	accepts := goroutines(4, 1, 1, parked{"%net/http.(*Server).Serve listen main", threadtrace.WaitIO, 0.98})
	handshakes := func(by float64) load {
		return with(evenly(0.1), func(l *load) {
			l.busy["%net/http.(*Server).Serve listen main"] = by / 20
			l.busy["%crypto/tls.(*Conn).serverHandshake %net/http.(*conn).serve"] = by
		})
	}
	for _, tc := range []struct {
		name            string
		normal          load
		healthy, broken func(*server)
		load            load
		truth           []string
	}{
		{
			name:   "a library works for whom it accepts, not for who has it accept them",
			normal: handshakes(0.02), healthy: accepts, broken: accepts, load: handshakes(0.3),
			truth: []string{"crypto/tls.(*Conn).serverHandshake"},
		},
		{
			name: "a pool is empty for good", normal: steady(1),
			healthy: httpServer(asks, parked{"waitTurn get ask show %serve", threadtrace.WaitSelect, 0.02}),
			broken:  httpServer(parked{"waitTurn get ask show %serve", threadtrace.WaitSelect, 23}),
			load:    slow, truth: []string{"waitTurn"},
		},
		{
			name: "nobody takes from a channel any more", normal: steady(1),
			healthy: all(httpServer(asks), writer(0.9)),
			broken:  httpServer(parked{"record show %serve", threadtrace.WaitChanSend, 23}),
			load:    slow, truth: []string{"record"},
		},
		{
			name: "a mutex is held while a peer is asked", normal: steady(1),
			healthy: httpServer(parked{"%Read fetch current show %serve", threadtrace.WaitIO, 0.1}),
			broken: httpServer(
				parked{"%Read fetch current show %serve", threadtrace.WaitIO, 1},
				parked{"%sync.(*Mutex).Lock current show %serve", threadtrace.WaitMutex, 21}),
			load: slow, truth: []string{"current"}, // who asks with it held
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				s.live(normally, phase{load: tc.normal, extra: tc.healthy})
				onset := s.now
				s.live(fault, phase{load: tc.load, extra: tc.broken})
				return s.told(onset, 15*time.Second, tc.truth...)
			})
		})
	}
}

// TestGoroutinesThatAlwaysWaitAreNoAnomaly: pools that are parked, in greater or
// smaller numbers, by samples of many.
func TestGoroutinesThatAlwaysWaitAreNoAnomaly(t *testing.T) {
	workers := func(n int, scale float64) func(*server) {
		return goroutines(3, n, scale, parked{"take worker main", threadtrace.WaitChanReceive, 0.98 * float64(n)},
			parked{"%Read ask job worker main", threadtrace.WaitIO, 0.02 * float64(n)})
	}
	for _, tc := range []struct {
		name   string
		phases []phase
	}{
		{"a pool under steps of load", []phase{
			{load: steady(1), extra: workers(50, 1)}, {load: steady(0.2), extra: workers(50, 1)}, {load: steady(1), extra: workers(50, 1)},
		}},
		{"more connections that idle", []phase{
			{load: steady(1), extra: httpServer(parked{"%Read ask show %serve", threadtrace.WaitIO, 0.4})},
			{load: steady(1), extra: goroutines(1, 3000, 3, parked{"%readRequest %serve", threadtrace.WaitIO, 3000}, parked{"%Read ask show %serve", threadtrace.WaitIO, 0.4})},
		}},
		{"samples of a hundred thousand", []phase{
			{load: steady(1), extra: goroutines(3, 100_000, 97, parked{"take worker main", threadtrace.WaitChanReceive, 99_950}, parked{"%Read ask job worker main", threadtrace.WaitIO, 50})},
			{load: steady(1), extra: goroutines(3, 100_000, 97, parked{"take worker main", threadtrace.WaitChanReceive, 99_950}, parked{"%Read ask job worker main", threadtrace.WaitIO, 50})},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				for _, p := range tc.phases {
					s.live(60, p)
				}
				return s.silent()
			})
		})
	}
}
