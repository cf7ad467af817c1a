package frames

import (
	"path"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// MaxPackageStacks bounds the distinct stacks of packages below one service's program,
	// as MaxStacks bounds those of the program.
	MaxPackageStacks = 1024
	// maxPackageNames bounds the functions of packages of one service, in bytes.
	maxPackageNames = 2 << 20
)

// Packages interns what the program calls of packages: of each stack the functions of
// packages, inside the innermost function of the program, that are written in the language of
// an interpreter. They are no part of what tells stacks apart. It is not safe for concurrent
// use.
type Packages struct{ Table }

// NewPackages returns an empty one.
func NewPackages() *Packages { return &Packages{*newTable(MaxPackageStacks, maxPackageNames)} }

// Below returns the identifier of the functions of packages that the innermost function of the
// program calls; zero when there are none, or no room. They are those of packages that were
// installed or, on a stack that has none of these, of what comes with the language, which has
// Stack.Runtime set.
func (p *Packages) Below(stack *threadtrace.Stack) uint32 {
	at := slices.IndexFunc(stack.Frames, func(f threadtrace.Frame) bool { return f.Origin == threadtrace.OriginApplication })
	if at <= 0 {
		return 0
	}
	inside := stack.Frames[:at]
	s := Stack{Frames: p.of(inside, installed), Direct: installed(&inside[0])}
	if len(s.Frames) == 0 {
		s.Frames, s.Direct, s.Runtime = p.of(inside, interpretedLibrary), interpretedLibrary(&inside[0]), true
	}
	if len(s.Frames) == 0 {
		return 0
	}
	if p.Len() >= p.mostStacks {
		s.Frames = s.Frames[:1]
	}
	return p.put(s)
}

// of is the functions of some frames.
func (p *Packages) of(stack []threadtrace.Frame, are func(*threadtrace.Frame) bool) []int32 {
	p.frames = p.frames[:0]
	for i := range stack {
		if f := &stack[i]; are(f) {
			p.add(f)
		}
	}
	return p.frames
}

// interpretedLibrary reports whether a function of a library is written in the language of an
// interpreter: its module is a source file.
func interpretedLibrary(f *threadtrace.Frame) bool {
	return f.Origin == threadtrace.OriginLibrary && slices.Contains([]string{".py", ".rb", ".php", ".pl", ".pm"}, path.Ext(f.Module))
}

// directories are where package managers of interpreted languages install: pip and Debian's
// Python, RubyGems and Debian's Ruby, Composer and PEAR, CPAN.
var directories = []string{
	"/site-packages/", "/dist-packages/", "/gems/", "/rubygems-integration/", "/vendor_ruby/", "/vendor/", "/usr/share/php/", "/perl5/",
}

// installed reports whether a function is of a package that was installed, and not of what
// comes with the language. Where the file is not known the module tells: of a package it has
// the path below the directory, of the language's own mostly the last part of it.
func installed(f *threadtrace.Frame) bool {
	if !interpretedLibrary(f) {
		return false
	}
	if f.File == "" {
		return strings.Contains(f.Module, "/")
	}
	return slices.ContainsFunc(directories, func(d string) bool { return strings.Contains(f.File, d) })
}
