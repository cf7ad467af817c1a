package catalog

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// ByTitle returns up to limit entries whose title fits a pattern in which *
// stands for anything, in the order of their titles: those with a tag, or all
// when it is empty.
func (c *Catalog) ByTitle(tag, pattern string, limit int) []Entry {
	c.mu.RLock()
	among := c.entries
	if tag != "" {
		among = c.byTag[tag]
	}
	var found []Entry
	for _, e := range among {
		if fits(e.Title, pattern) {
			found = append(found, *e)
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(found, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(limit, len(found))]
}

// fits reports whether a title is what a pattern describes, in whatever case.
func fits(title, pattern string) bool {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?i)^` + strings.Join(parts, ".*") + `$`).MatchString(title)
}
