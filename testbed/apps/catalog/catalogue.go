package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// product is what is sold.
type product struct {
	ID          int               `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Cents       int               `json:"cents"`
	Tags        []string          `json:"tags"`
	Attributes  map[string]string `json:"attributes"`
}

// catalogue is never changed once it is made.
type catalogue struct {
	version  int
	products []*product
	byWord   map[string][]int
}

var (
	adjectives = []string{"red", "blue", "green", "small", "large", "heavy", "light", "round", "old", "new", "cheap", "fine"}
	things     = []string{"chair", "table", "lamp", "shelf", "bed", "sofa", "desk", "mirror", "rug", "vase", "clock", "stool"}
	materials  = []string{"oak", "pine", "steel", "glass", "wool", "linen", "copper", "stone"}
)

func newCatalogue(n, version int) *catalogue {
	r := rand.New(rand.NewPCG(uint64(version), 7))
	c := &catalogue{version: version, products: make([]*product, n), byWord: map[string][]int{}}
	for i := range c.products {
		c.products[i] = newProduct(r, i)
		c.index(c.products[i])
	}
	return c
}

func newProduct(r *rand.Rand, id int) *product {
	tags := []string{adjectives[r.IntN(len(adjectives))], things[r.IntN(len(things))], materials[r.IntN(len(materials))]}
	return &product{
		ID:          id,
		Name:        fmt.Sprintf("%s %s %d", tags[0], tags[1], id),
		Description: describe(r, tags),
		Cents:       100 + r.IntN(100_000),
		Tags:        tags,
		Attributes: map[string]string{
			"width":  fmt.Sprintf("%d mm", r.IntN(2000)),
			"weight": fmt.Sprintf("%d g", r.IntN(50_000)),
			"made":   materials[r.IntN(len(materials))],
		},
	}
}

func describe(r *rand.Rand, tags []string) string {
	var b strings.Builder
	for range 8 {
		fmt.Fprintf(&b, "A %s %s of %s. ", adjectives[r.IntN(len(adjectives))], tags[1], tags[2])
	}
	return b.String()
}

func (c *catalogue) index(p *product) {
	for _, word := range p.Tags {
		c.byWord[word] = append(c.byWord[word], p.ID)
	}
}

func (c *catalogue) get(id int) (*product, bool) {
	if id < 0 || id >= len(c.products) {
		return nil, false
	}
	return c.products[id], true
}

// search returns the cheapest products that have all words, from the offset.
func (c *catalogue) search(words []string, offset, limit int) []*product {
	var ids []int
	for i, word := range words {
		if i == 0 {
			ids = slices.Clone(c.byWord[word])
			continue
		}
		ids = intersect(ids, c.byWord[word])
	}
	found := make([]*product, 0, len(ids))
	for _, id := range ids {
		found = append(found, c.products[id])
	}
	slices.SortFunc(found, func(a, b *product) int { return a.Cents - b.Cents })
	return found[min(offset, len(found)):min(offset+limit, len(found))]
}

// intersect keeps what is in both of two sorted lists.
func intersect(a, b []int) []int {
	var both []int
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			both = append(both, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return both
}
