package inference

import (
	"testing"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// The zero Key is a read that succeeds, on amd64, and a busy server has more of
// those than of anything.
func TestTheMostRefusedCallIsARefusedOne(t *testing.T) {
	a := NewAnalyzer(DefaultConfig(), "amd64")
	accept, connect := number(t, "accept4"), number(t, "connect")
	v := verdict{hop: &hop.Closed{Calls: map[unit.Key]hop.Totals{
		{}: {N: 5000}, {Number: accept}: {N: 30}, {Number: accept, Errno: 24}: {N: 10}, {Number: connect, Errno: 111}: {N: 2},
	}}}
	for _, f := range []struct {
		number, errno int32
		n             float64
	}{{connect, 111, 2}, {accept, 24, 10}} {
		v.Refused = append(v.Refused, detect.Finding{Cell: baseline.Cell{Function: f.errno, Number: f.number, State: baseline.Refused}, Time: f.n, Excess: f.n})
	}
	if _, call, part := a.refused(&v); call.Name != "accept4" || call.Errno != "EMFILE" || part != 0.25 {
		t.Errorf("got %+v, a share of %v", call, part)
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"a hop without samples":           func(c *Config) { c.Hop = 1 },
		"a window without a past":         func(c *Config) { c.Window = 11 * c.Hop },
		"fewer units than hops":           func(c *Config) { c.MaxUnits = 59 },
		"an anomaly without any suspects": func(c *Config) { c.MaxSuspects = 0 },
	} {
		c := DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
