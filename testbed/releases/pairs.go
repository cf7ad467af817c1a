// Package releases says which build of a service costs more than the one before it, and
// why, and compares what PerfScope finds with it.
package releases

import (
	"context"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// Kind is what a release is.
type Kind string

// The kinds: a function that costs more, one that costs less again, another build of
// the same code, and code of another shape that costs the same.
const (
	Regression  Kind = "regression"
	Fix         Kind = "fix"
	Same        Kind = "same"
	Refactoring Kind = "refactoring"
)

// Pair is two builds of a program under one load.
type Pair struct {
	Name          string
	Kind          Kind
	Before, After Build
	// Load drives a build, at requests per second.
	Load func(s *server.Server, rate float64) load.Config
	// Truth are the functions that cost more, or less; any of them counts.
	Truth []string
}

// Build starts one build of a program as a service of some name.
type Build func(ctx context.Context, service string) (*server.Server, error)

// Pairs are what `make eval-releases` runs.
func Pairs() []Pair {
	var all []Pair
	for _, list := range [][]Pair{bureau(), versions(), layouts()} {
		all = append(all, list...)
	}
	return all
}

// Changed reports whether anything is to be found.
func (p Pair) Changed() bool { return p.Kind == Regression || p.Kind == Fix }
