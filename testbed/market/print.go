package market

import "fmt"

// What a run must reach.
const (
	leastRecall    = 0.9
	leastPrecision = 0.95
	leastFirst     = 0.8
	mostRank       = 3
)

// Print prints a table, those that nothing was tuned with apart, and reports
// whether it is good enough.
func Print(rows []Row) bool {
	ok, first := true, 0
	for _, unseen := range []bool{false, true} {
		title := "fault"
		if unseen {
			title = "unseen before"
		}
		fmt.Printf("\n%-16s %8s %9s %5s %12s %9s %9s\n", title, "recall", "precision", "rank", "first in", "affected", "annotated")
		for _, r := range rows {
			if r.Unseen != unseen {
				continue
			}
			fmt.Printf("%-16s %8.3f %9.3f %5d %12.3f %9d %9d\n", r.Fault, r.Recall, r.Precision, r.Rank, r.FirstShare, r.Affected, r.Annotated)
			ok = ok && r.Recall >= leastRecall && r.Precision >= leastPrecision && r.Rank >= 1 && r.Rank <= mostRank
			if r.Rank == 1 {
				first++
			}
		}
	}
	fmt.Println()
	for _, r := range rows {
		fmt.Printf("%-16s %s\n", r.Fault, r.Said)
	}
	return ok && float64(first) >= leastFirst*float64(len(rows))
}
