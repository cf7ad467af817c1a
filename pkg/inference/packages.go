package inference

import (
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
)

// addPackage names, beside the first suspect that calls packages, the function of a package in
// which most of its excess is: after it, or before it where that function became costlier and
// the suspect does what it always did.
func (a *Analyzer) addPackage(found *Anomaly, c *attribute.Case, times []attribute.Time, scale attribute.Scale) {
	for i := range found.Suspects {
		p, ok := c.PackageBelow(found.Suspects[i], a.packages, times, scale)
		if !ok {
			continue
		}
		if p.Costlier && i == 0 {
			found.Path = append(found.Path, p.Path...)
			found.Gain = Round(found.Gain * p.Part)
		}
		found.Suspects = withPackage(found.Suspects, i, p)
		found.Suspects = found.Suspects[:min(len(found.Suspects), a.cfg.MaxSuspects)]
		return
	}
}

// withPackage is suspects with a function of a package that one of them calls. That the
// program calls it is known, so that it is no more suspect unless it became costlier.
func withPackage(suspects []Suspect, by int, p attribute.Package) []Suspect {
	s := p.Suspect
	at := by
	if p.Costlier {
		s.Score = max(s.Score, suspects[by].Score)
		if by > 0 {
			s.Score = min(s.Score, suspects[by-1].Score)
		}
	} else {
		s.Score = min(s.Score, suspects[by].Score)
		for at = by + 1; at < len(suspects) && suspects[at].Score > s.Score; at++ {
		}
	}
	// It may have been met without a function of the program above it, too.
	if was := slices.IndexFunc(suspects, func(o Suspect) bool { return o.Function == s.Function && o.Module == s.Module }); was >= 0 {
		if was < at {
			return suspects
		}
		suspects = slices.Delete(suspects, was, was+1)
	}
	return slices.Insert(suspects, at, s)
}
