package evaluation

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// MachineRow is one case in testbed/out/machine.json.
type MachineRow struct {
	Case     string         `json:"case"`
	External bool           `json:"external"`
	Truth    scenario.Cause `json:"kind_truth"`
	// Kind is what was told, by the record that says most of the time; empty when
	// nothing was.
	Kind          string `json:"kind"`
	ResourceRight bool   `json:"resource_right"`
	// Rank is the place of the first true function, zero when there is none; of an
	// external cause it must be zero. Blamed is how many functions were suspects of what
	// is told to be code, Waiting how many are told as where another cause is waited for.
	Rank    int `json:"rank"`
	Blamed  int `json:"blamed"`
	Waiting int `json:"waiting"`
	// Seconds is from the fault to the first anomaly; -1 when none came.
	Seconds     float64  `json:"seconds"`
	FalseAlarms int      `json:"false_alarms"`
	Resource    string   `json:"resource"`
	Users       []string `json:"users"`
	Sentence    string   `json:"sentence"`
	Error       string   `json:"error,omitempty"`
}

// NewMachineRow sums up a run. It is judged by the strongest anomaly.
func NewMachineRow(c scenario.MachineCase, r runner.Result, failed error) MachineRow {
	a := r.Strongest
	row := MachineRow{
		Case: c.Name, External: c.External, Truth: c.Cause, Kind: a.Cause, Resource: a.Resource, Users: a.Users,
		Rank: r.Rank, Seconds: r.SecondsToFirst, FalseAlarms: len(r.Before), Sentence: a.Sentence,
		ResourceRight: lacks(c, a),
	}
	if row.Kind == "code" || row.Kind == "unknown" {
		row.Blamed = len(a.Suspects)
	} else {
		row.Waiting = len(a.Suspects)
	}
	if failed != nil {
		row.Error = failed.Error()
	}
	return row
}

// lacks reports whether the resource and who uses it are those of the truth.
func lacks(c scenario.MachineCase, a agent.Anomaly) bool {
	if a.Cause != string(c.Cause) || !strings.Contains(a.Resource, c.Resource) {
		return false
	}
	return c.User == "" || slices.Contains(a.Users, c.User)
}

// CauseRight reports whether code and machine were told apart.
func (r *MachineRow) CauseRight() bool {
	return r.Kind != "" && (r.Kind != "code" && r.Kind != "unknown") == r.External
}

// What is asked: all causes, eleven of the twelve resources, and no
// function blamed for an external one.
const resourcesRight = 11

// PrintMachine writes the rows and their sums, and reports whether they are what is asked.
func PrintMachine(w io.Writer, rows []MachineRow) bool {
	causes, kinds, resources, externals, blamed, waiting := 0, 0, 0, 0, 0, 0
	fmt.Fprintf(w, "%-18s %-15s %-15s %-9s %4s %6s %7s %7s %6s  %s\n", "case", "truth", "told", "resource", "rank", "blamed", "waiting", "seconds", "alarms", "resource, users")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(w, "%-18s %-15s %-15s %-9v %4s %6d %7d %7.1f %6d  %s %s", r.Case, r.Truth, r.Kind, r.ResourceRight, ordinal(r.Rank), r.Blamed, r.Waiting, r.Seconds, r.FalseAlarms, r.Resource, strings.Join(r.Users, ","))
		if r.Error != "" {
			fmt.Fprintf(w, " | %s", r.Error)
		}
		fmt.Fprintln(w)
		if r.CauseRight() {
			causes++
		}
		if r.Kind == string(r.Truth) {
			kinds++
		}
		if r.External {
			externals++
			blamed += r.Blamed
			waiting += r.Waiting
			if r.ResourceRight {
				resources++
			}
		}
	}
	fmt.Fprintf(w, "\ncode or machine right in %d of %d, the kind in %d; the resource in %d of %d; %d functions blamed for what is nobody's code, %d said to wait for it\n",
		causes, len(rows), kinds, resources, externals, blamed, waiting)
	return causes == len(rows) && resources >= min(resourcesRight, externals) && blamed == 0
}
