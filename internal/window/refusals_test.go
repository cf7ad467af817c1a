package window

import (
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/unit"
)

// The zero Key is a read that succeeds, on amd64, and a busy server has more of
// those than of anything.
func TestTheMostRefusedCallIsARefusedOne(t *testing.T) {
	read, accepted, refused, rare := unit.Key{}, unit.Key{Number: 288}, unit.Key{Number: 288, Errno: 24}, unit.Key{Number: 42, Errno: 111}
	c := &closedHop{calls: map[unit.Key]callTotals{read: {n: 5000}, accepted: {n: 30}, refused: {n: 10}, rare: {n: 2}}}
	most, part := mostRefused(c, verdict{refused: []unit.Key{rare, refused}})
	if most != refused || part != 0.25 {
		t.Errorf("got %v, %v of its calls", most, part)
	}
}

// A connect that is not waited for is begun by one function, and a check that is
// called when the socket is ready hears of the refusal.
func TestWhoConnectsIsToBlameForARefusalThatACheckHears(t *testing.T) {
	s := newServer(t)
	s.run(60, normal(1))
	s.run(15, with(normal(1), func(l *load) {
		l.calls = append(l.calls,
			calls{"connect", 400, 4 * time.Microsecond, -115, "@connect connect_server retry handle loop main"},
			calls{"connect", 400, time.Microsecond, -111, "@connect check_socket on_ready loop main"})
	}))
	if len(s.found) == 0 {
		t.Fatalf("nothing found: %+v", s.service.Stats())
	}
	first := s.found[0]
	if len(first.Suspects) == 0 || first.Suspects[0].Function != "connect_server" {
		t.Errorf("suspects %v", names(first.Suspects))
	}
	if first.Pattern != suspect.PatternConnectionChurn {
		t.Errorf("pattern %q", first.Pattern)
	}
}
