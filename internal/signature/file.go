package signature

import (
	"cmp"
	"math"
	"slices"
)

// Program says what a file's signatures are of.
type Program struct {
	// Executable is the program's path.
	Executable string
	// BuildIDKind is gnu, go or htlhash, BuildID the identifier itself.
	// Signatures of another build say nothing about this one.
	BuildIDKind, BuildID string
	// Service is set for programs of an interpreter or a virtual machine,
	// whose functions are not the executable's: the name of the service.
	Service string
	// Arch is the architecture whose calls these are ("amd64").
	Arch string
}

// File is the signatures of one program.
type File struct {
	Program
	// Load says what the program did while they were mined; for people.
	Load string
	// Calls and Sequences are how much that was: calls with a stack, and
	// stretches between idle waits.
	Calls, Sequences uint64
	// Functions is ordered by module, then by name.
	Functions []Function
}

// Function is what one function can be told by.
type Function struct {
	Name, Module string
	// Calls and Invocations are how much of it was seen: calls with the
	// function on the stack, and unbroken runs of them.
	Calls, Invocations uint64
	// Beneath is the number of application functions between this one and the
	// call, summed over its calls: who calls whom.
	Beneath uint64
	// Signatures is ordered by Episode.
	Signatures []Signature
}

// Signature is an episode that tells a function from the others.
type Signature struct {
	Episode Episode
	// Total is the number of sequences in which the episode ended, Right that
	// of those in which it did so at a call of the function; where it ended
	// several times, each is a part.
	Right, Total uint64
}

const (
	// sure is the share of the matches of a signature that must be right in the
	// long run, at least, and of those that were seen: a name that is wrong more
	// often than one time in ten misleads.
	sure = 0.9
	// common is the share of a program's calls with a function on the stack
	// from which nothing tells it: main, the event loop. Naming it is right
	// as often as not.
	common = 0.5
)

// Confidence is the share of the matches that are right at least, in the long
// run: the lower limit of Wilson's score interval at 95 % (JASA 1927). Zero
// when none was seen.
func (s Signature) Confidence() float64 { return wilson(s.Right, s.Total) }

func wilson(right, total uint64) float64 {
	if total == 0 {
		return 0
	}
	const z = 1.96
	n := float64(total)
	p := float64(right) / n
	low := p + z*z/(2*n) - z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, low/(1+z*z/n))
}

// Share is the part of the program's calls that has the function on the stack.
func (f *File) Share(fn *Function) float64 {
	if f.Calls == 0 {
		return 0
	}
	return float64(fn.Calls) / float64(f.Calls)
}

// Weight is what a match of a signature is worth: its information on the
// function in bits, the logarithm of how far more likely the match makes it,
// times how often it is right. It is zero when the match makes it no likelier.
func (f *File) Weight(fn *Function, s Signature) float64 {
	c, share := s.Confidence(), f.Share(fn)
	if c <= share || share <= 0 {
		return 0
	}
	return c * math.Log2(c/share)
}

func compareFunctions(a, b Function) int {
	return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Name, b.Name))
}

// find gives the function of that name.
func (f *File) find(module, name string) *Function {
	i, ok := slices.BinarySearchFunc(f.Functions, Function{Name: name, Module: module}, compareFunctions)
	if !ok {
		return nil
	}
	return &f.Functions[i]
}
