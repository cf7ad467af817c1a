package inference

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// pages is a service that renders texts with a package: the program's own part, and what the
// package does for it, by the shares of a CPU.
func pages(requests, own, scan, link, emit float64) load {
	l := steady(requests)
	for stack, share := range map[string]float64{
		"render handle loop main":                        own,
		"#scan #tokens #convert render handle loop main": scan,
		"#link #inline #convert render handle loop main": link,
		"#emit #convert render handle loop main":         emit,
	} {
		l.busy[stack] = share
	}
	return l
}

// flat is pages whose package has no function that calls the others.
func flat(link, emit float64) load {
	return with(steady(1), func(l *load) {
		l.busy["render handle loop main"] = 0.02
		l.busy["#link render handle loop main"], l.busy["#emit render handle loop main"] = link, emit
	})
}

func TestThePackageFunctionBelowASuspectIsNamed(t *testing.T) {
	usual := pages(1, 0.02, 0.02, 0.02, 0.03)
	for _, tc := range []struct {
		name           string
		healthy, fault load
		first          []string
		named          bool // a function of the package is
	}{
		{"who takes longer for what is asked of it comes first", usual, pages(1, 0.02, 0.02, 0.75, 0.03), []string{"link", "render"}, true},
		{"who is called more often has the caller before it", usual, pages(1, 0.05, 0.25, 0.35, 0.25), []string{"render"}, true},
		{"also where it is most of all that is called", flat(0.1, 0.01), flat(0.7, 0.07), []string{"render", "link"}, true},
		{"who was never called before has the caller before it", usual, with(usual, func(l *load) {
			l.busy["#lex #compile render handle loop main"] = 0.8
		}), []string{"render", "lex"}, true},
		{"a caller that computes itself is named alone", usual, pages(1, 0.8, 0.02, 0.02, 0.03), []string{"render"}, false},
		{"a wait in a package has the caller before it", usual, with(usual, func(l *load) {
			l.waits[0] = site{stack: "@recvfrom #receive #fetch render handle loop main", call: "recvfrom", share: 0.9}
		}), []string{"render", "receive"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, 4, func(s *server) error {
				s.run(60, tc.healthy)
				onset := s.now
				s.run(25, tc.fault)
				if len(s.found) == 0 || s.found[0].End <= onset {
					return errors.New("not told, or before it began")
				}
				a := s.found[len(s.found)-1]
				if got := functionsOf(a.Suspects); len(got) < len(tc.first) || !slices.Equal(got[:len(tc.first)], tc.first) {
					return fmt.Errorf("suspects %v, want %v first", got, tc.first)
				}
				if named := slices.ContainsFunc(a.Suspects, func(s Suspect) bool { return s.Module == "markup/parser.py" }); named != tc.named {
					return fmt.Errorf("suspects %+v: one of the package is %v", a.Suspects, named)
				}
				if first := a.Suspects[0]; len(a.Path) == 0 || a.Path[len(a.Path)-1] != first.Function {
					return fmt.Errorf("the path to %s is %v", first.Function, a.Path)
				}
				if !slices.IsSortedFunc(a.Suspects, func(a, b Suspect) int { return cmp.Compare(b.Score, a.Score) }) {
					return fmt.Errorf("scores are in no order: %+v", a.Suspects)
				}
				return nil
			})
		})
	}
}
