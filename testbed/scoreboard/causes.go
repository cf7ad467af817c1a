package scoreboard

import (
	"cmp"
	"slices"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Causes says how well code is told from the machine, of recordings with figures of it.
type Causes struct {
	// Code counts the judgements of faults of code of which something was told,
	// Innocent those that name no function but the machine or a peer, Hidden those of
	// Innocent that have the true function among those that were hit. Other are those
	// that name a function beside another first cause.
	Code, Innocent, Hidden, Other int
	// External counts the judgements of causes that are nobody's code, Noticed those
	// of which something was told, Kind those with the true cause, Blamed those that say that code is the cause and name a
	// function, Named all that name one.
	External, Noticed, Kind, Blamed, Named int
}

// External is a recording of a cause that is nobody's code.
type External struct {
	scenario.MachineCase
	Dir string
}

// ExternalRow is what a judge made of a cause that is nobody's code at one phase of the
// hops.
type ExternalRow struct {
	Scenario string  `json:"scenario"`
	Phase    float64 `json:"phase_seconds"`
	Truth    string  `json:"truth"`
	// Cause is the first that was told, empty when nothing was.
	Cause    string   `json:"cause"`
	Before   int      `json:"before"`
	First    []string `json:"suspects"`
	Sentence string   `json:"sentence"`
	// HealthySeconds is the time before it.
	HealthySeconds float64 `json:"healthy_seconds"`
}

// Machine judges the recording of a cause that is nobody's code at several phases.
func (e *External) Machine(phases []time.Duration, newJudge func(arch string) Judge) (rows []ExternalRow, err error) {
	faults, err := Fault(e.Scenario, e.Dir, phases, newJudge)
	for _, f := range faults {
		rows = append(rows, ExternalRow{
			Scenario: f.Scenario, Phase: f.Phase, Truth: string(e.Cause), Cause: f.Cause, Before: f.Before, First: f.First, Sentence: f.Sentence,
			HealthySeconds: f.HealthySeconds,
		})
	}
	return rows, err
}

// blames takes what the strongest anomaly says of the cause.
func (r *FaultRow) blames(t Told, truth []string) {
	if len(t.Causes) == 0 {
		return
	}
	r.Cause = string(t.Causes[0].Kind)
	r.Innocent = len(t.Suspects) == 0 && !ofCode(r.Cause)
	r.Hidden = r.Innocent && slices.ContainsFunc(t.Hit, func(s inference.Suspect) bool { return named(s, truth) })
}

// ofCode reports whether a cause is the code, or none that is known.
func ofCode(cause string) bool {
	return cause == string(inference.CauseCode) || cause == string(inference.CauseUnknown)
}

// sumCauses sums up the rows that have a cause.
func (b *Board) sumCauses() (c Causes) {
	slices.SortFunc(b.External, func(a, b ExternalRow) int {
		return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), cmp.Compare(a.Phase, b.Phase))
	})
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	for _, r := range b.Rows {
		count(&c.Code, r.Cause != "")
		count(&c.Innocent, r.Innocent)
		count(&c.Hidden, r.Hidden)
		count(&c.Other, r.Cause != "" && !ofCode(r.Cause) && len(r.First) > 0)
	}
	for _, r := range b.External {
		c.External++
		count(&c.Noticed, r.Cause != "")
		count(&c.Kind, r.Cause == r.Truth)
		count(&c.Blamed, ofCode(r.Cause) && len(r.First) > 0)
		count(&c.Named, len(r.First) > 0)
	}
	return c
}

// machineCase is the case of a name.
func machineCase(name string) (scenario.MachineCase, bool) {
	cases := scenario.Machine()
	at := slices.IndexFunc(cases, func(c scenario.MachineCase) bool { return c.External && c.Name == name })
	if at < 0 {
		return scenario.MachineCase{}, false
	}
	return cases[at], true
}

// recorded are all faults of a corpus, those of code and others.
func (c *Corpus) recorded() []Recorded {
	all := slices.Clone(c.Faults)
	for _, e := range c.External {
		all = append(all, Recorded{e.Scenario, e.Dir})
	}
	return all
}
