package window

import (
	"testing"

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
