package correlate

// forest is spans by whose child they are, as far as their parents are among
// them. Of a malformed trace nothing is asked: a span that is its own ancestor
// is a root.
type forest struct {
	spans []Span
	// root is the index of the span at the top of each one's tree, depth how
	// many levels below it is.
	root, depth []int
	// own is each span's time without that of its children.
	own [][]interval
}

type spanID struct {
	trace [16]byte
	id    [8]byte
}

func newForest(spans []Span) *forest {
	f := &forest{spans: spans, root: make([]int, len(spans)), depth: make([]int, len(spans)), own: make([][]interval, len(spans))}
	index := make(map[spanID]int, len(spans))
	for i := range spans {
		index[spanID{spans[i].Trace, spans[i].ID}] = i
	}
	parent := make([]int, len(spans))
	children := make([][]interval, len(spans))
	for i := range spans {
		s := &spans[i]
		p, known := index[spanID{s.Trace, s.Parent}]
		if !known || p == i || s.Parent == [8]byte{} {
			parent[i] = -1
			continue
		}
		parent[i] = p
		if s.End > s.Start {
			children[p] = append(children[p], interval{s.Start, s.End})
		}
	}
	f.climb(parent)
	for i := range spans {
		s := &spans[i]
		if s.End <= s.Start { // an instant, or nonsense
			f.own[i] = []interval{{s.Start, s.Start}}
			continue
		}
		f.own[i] = without(interval{s.Start, s.End}, merged(children[i]))
	}
	return f
}

// climb finds root and depth of all spans, each parent once.
func (f *forest) climb(parent []int) {
	const (
		unknown = iota
		onPath
		known
	)
	state := make([]uint8, len(parent))
	var path []int
	for i := range parent {
		path = path[:0]
		at := i
		for state[at] == unknown && parent[at] >= 0 {
			state[at] = onPath
			path = append(path, at)
			at = parent[at]
		}
		if state[at] != known { // a root, or a circle, which is cut here
			f.root[at], f.depth[at], state[at] = at, 0, known
		}
		for n := len(path) - 1; n >= 0; n-- {
			if j := path[n]; state[j] != known {
				f.root[j], f.depth[j], state[j] = f.root[parent[j]], f.depth[parent[j]]+1, known
			}
		}
	}
}
