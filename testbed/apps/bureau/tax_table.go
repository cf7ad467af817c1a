//go:build tax_table

package main

// taxOf makes its table for each line: the mistake of this release.
//
//go:noinline
func taxOf(l line) int {
	rates := map[int]int{}
	for i := range 40 {
		rates[i] = l.cents*i + l.article
	}
	tax := 0
	for i := range 40 {
		tax += rates[i] % 19
	}
	return tax
}
