package evidence

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/inference"
)

const (
	// maxNodes bounds a call tree: more cannot be told apart on a screen.
	maxNodes = 4000
	// narrow is the share of all time below which a node is not shown: half a pixel.
	narrow = 1.0 / 2000
	// maxName bounds a name in the tree, in bytes: no box is as wide.
	maxName = 120
)

// Tree is the call tree of a stretch, its callers first.
type Tree struct {
	Root *Node
	// Hidden is how many nodes are too narrow to be shown; their time is that of their
	// callers.
	Hidden int
}

// Node is a function as called by those above it, or the call that it waits in.
type Node struct {
	Name, Module string
	// Call is set when it is a system call, with Name its name.
	Call bool
	Time
	Children []*Node

	function int32
}

// treeOf merges the stacks of a profile.
func treeOf(p *inference.Profile) Tree {
	b := treeBuilder{p: p, children: map[edge]*Node{}}
	root := &Node{function: -1}
	for i := range p.Samples {
		b.add(root, &p.Samples[i])
	}
	t := Tree{Root: root}
	widest := max(root.Now(), root.Normal())
	for least := narrow * widest; ; least *= 2 {
		kept, n, hidden := prune(root, least)
		if n <= maxNodes || least >= widest {
			t.Root, t.Hidden = kept, hidden
			return t
		}
	}
}

type edge struct {
	parent   *Node
	function int32
	call     string
}

type treeBuilder struct {
	p        *inference.Profile
	children map[edge]*Node
}

// add adds a sample, whose innermost function comes first, from the outermost in.
func (b *treeBuilder) add(at *Node, s *inference.Sample) {
	at.add(s)
	for _, f := range slices.Backward(s.Stack) {
		at = b.child(at, f, "")
		at.add(s)
	}
	if s.Waiting {
		call := s.Call
		switch {
		case call == "":
			call = "spins for a lock"
		case s.Lock:
			call += " (lock)"
		}
		b.child(at, -1, call).add(s)
	}
}

func (b *treeBuilder) child(at *Node, f int32, call string) *Node {
	e := edge{at, f, call}
	n := b.children[e]
	if n == nil {
		n = &Node{function: f, Name: call, Call: call != ""}
		if f >= 0 {
			fn := b.p.Functions[f]
			n.Name, n.Module = cleantext.Clean(fn.Name, maxName), cleantext.Clean(fn.Module, maxName/4)
		}
		b.children[e] = n
		at.Children = append(at.Children, n)
	}
	return n
}

// prune copies a tree without what is narrower than least, the widest first; n is how
// many nodes it has.
func prune(from *Node, least float64) (to *Node, n, hidden int) {
	kept := *from
	kept.Children = nil
	kept.round()
	n = 1
	for _, c := range from.Children {
		if max(c.Now(), c.Normal()) < least {
			hidden++
			continue
		}
		child, more, less := prune(c, least)
		kept.Children = append(kept.Children, child)
		n, hidden = n+more, hidden+less
	}
	slices.SortStableFunc(kept.Children, func(a, b *Node) int { return cmp.Compare(a.Name, b.Name) })
	return &kept, n, hidden
}

// MarshalJSON writes the tree with each name once: nodes are [index of the name, CPU,
// wait, normal CPU, normal wait, children], names [name, module, 1 for a system call].
func (t Tree) MarshalJSON() ([]byte, error) {
	type key struct {
		name, module string
		call         bool
	}
	index := map[key]int{}
	names := [][3]any{}
	var encode func(n *Node) []any
	encode = func(n *Node) []any {
		k := key{n.Name, n.Module, n.Call}
		i, ok := index[k]
		if !ok {
			i = len(names)
			index[k] = i
			call := 0
			if n.Call {
				call = 1
			}
			names = append(names, [3]any{n.Name, n.Module, call})
		}
		out := []any{i, n.CPU, n.Wait, n.NormalCPU, n.NormalWait}
		if len(n.Children) > 0 {
			children := make([]any, len(n.Children))
			for j, c := range n.Children {
				children[j] = encode(c)
			}
			out = append(out, children)
		}
		return out
	}
	out := struct {
		Names  [][3]any `json:"names"`
		Root   []any    `json:"root"`
		Hidden int      `json:"hidden"`
	}{Hidden: t.Hidden}
	if t.Root != nil {
		out.Root = encode(t.Root)
	}
	out.Names = names
	return json.Marshal(out)
}
