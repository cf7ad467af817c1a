// Package releases says which build of a service costs more than the one before it, and
// why, and compares what PerfScope finds with it.
package releases

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

// Pair is two builds of testbed/apps/bureau, by their build tags; empty is without.
type Pair struct {
	Name          string
	Before, After string
	Kind          Kind
	// Truth are the functions that cost more, or less; any of them counts.
	Truth []string
}

// Pairs are what `make eval-releases` runs.
func Pairs() []Pair {
	return []Pair{
		{"authorise-twice", "", "authorise_twice", Regression, []string{"main.authorise"}},
		{"authorise-third", "", "authorise_third", Regression, []string{"main.authorise"}},
		{"find-linear", "", "find_linear", Regression, []string{"main.(*bureau).findOrder"}},
		{"price-regexp", "", "price_regexp", Regression, []string{"main.priceOrder"}},
		{"tax-table", "", "tax_table", Regression, []string{"main.taxOf"}},
		{"render-concat", "", "render_concat", Regression, []string{"main.renderOrder"}},
		{"render-sprintf", "", "render_sprintf", Regression, []string{"main.renderOrder"}},
		{"suggest-insertion", "", "suggest_insertion", Regression, []string{"main.suggest"}},
		{"suggest-all", "", "suggest_all", Regression, []string{"main.suggest"}},
		{"audit-indent", "", "audit_indent", Regression, []string{"main.(*bureau).auditTrail"}},
		{"audit-sync", "", "audit_sync", Regression, []string{"main.(*bureau).auditTrail"}},
		{"seal-lines", "", "seal_lines", Regression, []string{"main.sealReply"}},
		{"find-mended", "find_linear", "", Fix, []string{"main.(*bureau).findOrder"}},
		{"tax-mended", "tax_table", "", Fix, []string{"main.taxOf"}},
		{"audit-mended", "audit_indent", "", Fix, []string{"main.(*bureau).auditTrail"}},
		{"same-1", "", "another1", Same, nil},
		{"same-2", "another2", "another3", Same, nil},
		{"same-3", "another4", "another5", Same, nil},
		{"same-4", "tax_table", "tax_table another6", Same, nil},
		{"same-5", "audit_indent", "audit_indent another7", Same, nil},
		{"same-6", "find_linear", "find_linear another8", Same, nil},
		{"same-7", "render_sprintf", "render_sprintf another9", Same, nil},
		{"same-8", "another10", "another11", Same, nil},
		{"rename", "", "refactor_rename", Refactoring, nil},
		{"inline", "", "refactor_inline", Refactoring, nil},
		{"move", "", "refactor_move", Refactoring, nil},
		{"extract", "", "refactor_extract", Refactoring, nil},
		{"steps", "", "refactor_steps", Refactoring, nil},
	}
}

// Changed reports whether anything is to be found.
func (p Pair) Changed() bool { return p.Kind == Regression || p.Kind == Fix }
