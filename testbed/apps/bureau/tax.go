//go:build !tax_table && !refactor_rename && !refactor_inline

package main

//go:noinline
func taxOf(l line) int {
	tax := 0
	for i := range 40 {
		tax += (l.cents*i + l.article) % 19
	}
	return tax
}
