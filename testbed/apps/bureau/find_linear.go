//go:build find_linear

package main

// findOrder looks at one order after the other: the mistake of this release.
//
//go:noinline
func (b *bureau) findOrder(id int) *order {
	for i := range b.all {
		if o := b.all[(i*1237)%len(b.all)]; o.id == id {
			return b.byID[o.id]
		}
	}
	return nil
}
