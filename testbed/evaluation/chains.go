package evaluation

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// ChainRow is one case in testbed/out/chains.json.
type ChainRow struct {
	Case string `json:"case"`
	// End and Ending are the truth about the last link, Chain is what was told at last.
	End    []string     `json:"end"`
	Ending string       `json:"ending"`
	Chain  []agent.Link `json:"chain"`
	// EndRight is set when the last link is the true function, EndingRight when it is of
	// the true kind as well.
	EndRight    bool `json:"end_right"`
	EndingRight bool `json:"ending_right"`
	// Rank is the place of the true function among the suspects, zero when it is none.
	Rank int `json:"rank"`
	// Gain is which part of a request's time was said to be saved were the first suspect
	// as ever, Measured what the load saw: one minus the mean before the fault by the mean
	// with it.
	Gain     float64 `json:"gain"`
	Measured float64 `json:"measured_gain"`
	Seconds  float64 `json:"seconds"`
	Alarms   int     `json:"false_alarms"`
	Sentence string  `json:"sentence"`
	Error    string  `json:"error,omitempty"`
}

// NewChainRow sums up a run. It is judged by what is known of the strongest anomaly in the
// end, by the last warning of it: a chain comes with an update where what is told first
// comes before waits were recorded, and may be lost by one.
func NewChainRow(c scenario.ChainCase, r runner.Result, failed error) ChainRow {
	a := r.Last
	row := ChainRow{
		Case: c.Name, End: c.End, Ending: c.Ending, Chain: a.Chain, Rank: a.Rank(c.Truth), Gain: a.Gain, Seconds: r.SecondsToFirst,
		Alarms: len(r.Before), Sentence: a.Sentence,
	}
	if n := len(a.Chain); n > 0 {
		last := a.Chain[n-1]
		row.EndRight = slices.Contains(c.End, last.Function)
		row.EndingRight = row.EndRight && last.Kind == c.Ending
	}
	if r.Slow.Mean > 0 {
		row.Measured = 1 - float64(r.Normal.Mean)/float64(r.Slow.Mean)
	}
	if failed != nil {
		row.Error = failed.Error()
	}
	return row
}

// Off is by how much the predicted gain differs from the measured one, as a part of it.
func (r *ChainRow) Off() float64 {
	if r.Measured <= 0 {
		return math.Inf(1)
	}
	return math.Abs(r.Gain-r.Measured) / r.Measured
}

// What is asked of the ten: the last link of nine, and gains within a quarter in the
// median.
const (
	endsRight = 9
	gainOff   = 0.25
)

// PrintChains writes the rows and their sums, and reports whether they are what is asked.
func PrintChains(w io.Writer, rows []ChainRow) bool {
	ends, endings, firsts := 0, 0, 0
	var off []float64
	fmt.Fprintf(w, "%-16s %-24s %-7s %-34s %-6s %4s %6s %8s %7s %6s\n", "case", "end", "kind", "told", "right", "rank", "gain", "measured", "seconds", "alarms")
	for i := range rows {
		r := &rows[i]
		told := "nothing"
		if n := len(r.Chain); n > 0 {
			told = fmt.Sprintf("%d: %s %s", n, cmp.Or(r.Chain[n-1].Function, r.Chain[n-1].Thread, "?"), r.Chain[n-1].Kind)
		}
		fmt.Fprintf(w, "%-16s %-24s %-7s %-34s %-6v %4s %6.2f %8.2f %7.1f %6d %s\n",
			r.Case, r.End[0], r.Ending, told, r.EndRight, ordinal(r.Rank), r.Gain, r.Measured, r.Seconds, r.Alarms, r.Error)
		if r.EndRight {
			ends++
		}
		if r.EndingRight {
			endings++
		}
		if r.Rank == 1 {
			firsts++
		}
		off = append(off, r.Off())
	}
	if len(rows) == 0 {
		return false
	}
	slices.Sort(off)
	median := off[len(off)/2]
	fmt.Fprintf(w, "\nthe last link right in %d of %d, its kind in %d; the true function first in %d; the gain off by %.0f %% of the measured one in the median\n",
		ends, len(rows), endings, firsts, 100*median)
	return ends >= min(endsRight, len(rows)) && median <= gainOff
}
