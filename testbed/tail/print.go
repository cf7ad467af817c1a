package tail

import "fmt"

// Print writes a result on a line, and what was said on the next.
func (r *Result) Print() {
	from := "units"
	if r.Spans {
		from = "spans"
	}
	if r.Honest {
		fmt.Printf("%-22s %4.0f %% %s  honest: %-17s right %v, %d warnings\n", r.Scenario, 100*r.Share, from, r.Difference, r.Right, r.Warnings)
	} else {
		fmt.Printf("%-22s %4.0f %% %s  rank %d, explained %.2f, after %3.0f s; cpu profile %d, wall clock %d; events on %.2f of slow, %.4f of other spans\n",
			r.Scenario, 100*r.Share, from, r.Rank, r.Explained, r.Seconds, r.Baselines.CPU, r.Baselines.Wall, r.Annotated, r.Wrongly)
	}
	fmt.Printf("    %s\n    %v\n", r.Summary, r.Suspects[:min(10, len(r.Suspects))])
}

// Verdict prints how often the true function was first and among the first three, and
// reports whether that is as often as is promised at 3 % with spans.
func Verdict(results []Result) bool {
	type count struct{ n, first, three, cpu, wall int }
	counts := map[string]*count{}
	var order []string
	right, honest := 0, 0
	for i := range results {
		r := &results[i]
		if r.Honest {
			honest++
			if r.Right {
				right++
			}
			continue
		}
		how, on := "without", ""
		if r.Spans {
			how = "with"
		}
		if r.Unseen {
			on = " on servers that nothing was chosen by"
		}
		key := fmt.Sprintf("%g %% of the requests%s, %s spans", 100*r.Share, on, how)
		c := counts[key]
		if c == nil {
			c = &count{}
			counts[key] = c
			order = append(order, key)
		}
		c.n++
		add := func(to *int, is bool) {
			if is {
				*to++
			}
		}
		add(&c.first, r.Rank == 1)
		add(&c.three, r.Rank >= 1 && r.Rank <= 3)
		add(&c.cpu, r.Baselines.CPU == 1)
		add(&c.wall, r.Baselines.Wall == 1)
	}
	ok := right == honest
	for _, key := range order {
		c := counts[key]
		fmt.Printf("%s: the true function first in %d of %d, in the top three in %d; first by a CPU profile in %d, by the wall clock in %d\n",
			key, c.first, c.n, c.three, c.cpu, c.wall)
		ok = ok && 4*c.first >= 3*c.n
	}
	if honest > 0 {
		fmt.Printf("honest mixtures: %d of %d named right without a warning\n", right, honest)
	}
	return ok
}
