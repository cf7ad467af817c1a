package frames

import (
	"fmt"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func library(function, module, file string) threadtrace.Frame {
	return threadtrace.Frame{Function: function, Module: module, File: file, Origin: threadtrace.OriginLibrary}
}

func TestPackagesAreWhatTheProgramCalls(t *testing.T) {
	var (
		native  = library("onig_search", "libonig.so.5", "")
		libc    = library("memcpy", "libc.so.6", "")
		runtime = threadtrace.Frame{Function: "rb_vm_exec", Module: "libruby-3.1.so.3.1", Origin: threadtrace.OriginRuntime}
		match   = library("match", "rexml-3.2.5/lib/rexml/source.rb", "/usr/share/rubygems-integration/all/gems/rexml-3.2.5/lib/rexml/source.rb")
		pull    = library("pull_event", "rexml-3.2.5/lib/rexml/baseparser.rb", "/usr/lib/ruby/gems/3.1.0/gems/rexml-3.2.5/lib/rexml/baseparser.rb")
		single  = library("add_metaclass", "six.py", "/usr/lib/python3/dist-packages/six.py")
		std     = library("dumps", "json/__init__.py", "/usr/lib/python3.11/json/__init__.py")
		rack    = library("call", "builder.rb", "/usr/lib/ruby/vendor_ruby/rack/builder.rb")
		vendor  = library("Twig\\Lexer::tokenize", "twig/twig/src/Lexer.php", "/srv/vendor/twig/twig/src/Lexer.php")
		own     = threadtrace.Frame{Function: "read_invoice", Module: "config.ru", File: "/srv/config.ru"}
		main    = threadtrace.Frame{Function: "main", Module: "config.ru", File: "/srv/config.ru"}
	)
	unplaced := match
	unplaced.File = ""
	for name, tc := range map[string]struct {
		frames []threadtrace.Frame
		want   []string
		direct bool
		own    bool
	}{
		"inside the innermost function of the program": {[]threadtrace.Frame{libc, native, match, pull, own, rack, main}, []string{"match", "pull_event"}, false, false},
		"running itself":                  {[]threadtrace.Frame{match, pull, own}, []string{"match", "pull_event"}, true, false},
		"outside of it":                   {[]threadtrace.Frame{own, rack, main}, nil, false, false},
		"no program":                      {[]threadtrace.Frame{match, rack}, nil, false, false},
		"the language's own":              {[]threadtrace.Frame{libc, std, own}, []string{"dumps"}, false, true},
		"between packages it is left out": {[]threadtrace.Frame{std, single, runtime, vendor, own}, []string{"add_metaclass", "Twig\\Lexer::tokenize"}, false, false},
		"not its interpreter's":           {[]threadtrace.Frame{runtime, own}, nil, false, false},
		"native":                          {[]threadtrace.Frame{native, own}, nil, false, false},
		"the file is not known":           {[]threadtrace.Frame{unplaced, library("dumps", "encoder.py", ""), own}, []string{"match"}, true, false},
		"of a language with libraries of its own": {[]threadtrace.Frame{
			library("readFile", "node:fs/promises", ""), library("java.util.regex.Pattern.matcher", "[jit]", ""), library("encoding/json.Unmarshal", "shelf", ""), own,
		}, nil, false, false},
	} {
		p := NewPackages()
		s := p.Get(p.Below(&threadtrace.Stack{Frames: tc.frames}))
		var got []string
		for _, f := range s.Frames {
			got = append(got, p.Function(f).Name)
		}
		if !slices.Equal(got, tc.want) || s.Direct != tc.direct || s.Runtime != tc.own {
			t.Errorf("%s: %v, direct %v, of the language's own %v", name, got, s.Direct, s.Runtime)
		}
	}
}

func TestPackagesAreBounded(t *testing.T) {
	p := NewPackages()
	for i := range 8 * MaxPackageStacks {
		frames := []threadtrace.Frame{
			library(fmt.Sprintf("inner%d", i), "a/b.py", "/x/site-packages/a/b.py"), library(fmt.Sprintf("outer%d", i), "a/b.py", "/x/site-packages/a/b.py"),
			{Function: "program", Module: "main.py"},
		}
		if id := p.Below(&threadtrace.Stack{Frames: frames}); i >= 2*MaxPackageStacks && id != 0 {
			t.Fatalf("stack %d is kept as %d", i, id)
		}
	}
	if p.Len() > 2*MaxPackageStacks || p.FunctionBytes() > maxPackageNames || len(p.Functions()) > maxPackageNames/functionSize {
		t.Errorf("%d stacks, %d functions of %d bytes are kept", p.Len(), len(p.Functions()), p.FunctionBytes())
	}
}

// BenchmarkPackages takes stacks of a Python program with packages inside it, as many as are
// kept apart: "program" is what each costs without them, for comparison.
func BenchmarkPackages(b *testing.B) {
	stacks := make([]threadtrace.Stack, MaxPackageStacks)
	for i := range stacks {
		frames := []threadtrace.Frame{library("read", "libc.so.6", ""), {Function: "_PyEval_EvalFrameDefault", Module: "libpython3.11.so.1.0", Origin: threadtrace.OriginRuntime}}
		for j := range 12 {
			module := fmt.Sprintf("sqlalchemy/orm/part%d.py", (i+j)%40)
			frames = append(frames, library(fmt.Sprintf("step%d", (i>>j)%100), module, "/usr/lib/python3/dist-packages/"+module))
		}
		for j := range 6 {
			frames = append(frames, threadtrace.Frame{Function: fmt.Sprintf("handle%d", (i+j)%20), Module: "app.py", File: "/srv/app.py"})
		}
		stacks[i].Frames = frames
	}
	for name, intern := range map[string]func(*threadtrace.Stack) uint32{"program": NewTable().Intern, "packages": NewPackages().Below} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if intern(&stacks[i%len(stacks)]) == 0 {
					b.Fatal("there was no room for a stack")
				}
			}
		})
	}
}
