package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/perfscope/perfscope"

// A rule forbids the packages below `from` every package below `never`, both
// directly and through other packages of this module. Test files are free.
type rule struct {
	from   []string
	never  []string
	except []string // packages below `from` that the rule leaves alone
	why    string
}

var (
	components = []string{module + "/receiver", module + "/processor", module + "/exporter", module + "/connector", module + "/extension"}
	inference  = append(internal("unit", "cluster", "outlier", "signature", "frames", "explain", "correlate", "blame", "usual"), module+"/pkg/inference")
	collector  = []string{"go.opentelemetry.io"}
	ebpf       = []string{"github.com/cilium/ebpf"}
)

// own are the packages of each component.
var own = func() (rules []rule) {
	all := []string{
		module + "/receiver/syscallreceiver", module + "/processor/perfscopeprocessor", module + "/processor/incidentprocessor",
		module + "/exporter/signatureexporter", module + "/exporter/reportexporter", module + "/extension/perfscopepage",
		module + "/connector/profilesconnector",
	}
	for _, c := range all {
		others := slices.DeleteFunc(slices.Clone(all), func(o string) bool { return o == c })
		rules = append(rules, rule{from: []string{c}, never: others, why: "a component does not import another one"})
	}
	return rules
}()

var rules = append(own, []rule{
	{
		from: []string{module + "/internal", module + "/pkg"}, never: components,
		why: "components import domain packages, never the other way",
	},
	{
		from: inference, never: slices.Concat(collector, ebpf, append(internal("capture", "process", "stack"), module+"/pkg/threadtrace/tracelog")),
		why: "the inference runs on a recorded file, on any system",
	},
	{
		from: internal("capture"), never: inference,
		why: "what is captured does not depend on what is concluded from it",
	},
	{
		from: []string{module}, never: []string{"go.opentelemetry.io/collector/pdata"},
		except: append(slices.Clone(components), module+"/pkg/threadtrace/tracelog"),
		why:    "pdata stays at the edge: in components and in tracelog",
	},
	{
		from: []string{module}, never: ebpf,
		except: slices.Concat(internal("capture"), components),
		why:    "eBPF stays in capture",
	},
	{
		from: []string{module + "/pkg/threadtrace"}, never: slices.Concat(collector, ebpf, inference),
		except: []string{module + "/pkg/threadtrace/tracelog"},
		why:    "the language between capture and inference knows neither",
	},
}...)

func internal(names ...string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = module + "/internal/" + name
	}
	return out
}

func below(pkg string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	})
}

func TestImportDirection(t *testing.T) {
	imports := readImports(t)
	if len(imports) < 5 {
		t.Fatalf("only %d packages found: the test looks in the wrong place", len(imports))
	}
	for _, r := range rules {
		for pkg := range imports {
			if !below(pkg, r.from) || below(pkg, r.except) {
				continue
			}
			if chain := reach(imports, pkg, r); chain != nil {
				t.Errorf("%s\n\t%s", r.why, strings.Join(chain, "\n\timports "))
			}
		}
	}
}

// reach returns a chain of imports from pkg to what the rule forbids, or nil.
// A package the rule leaves alone may be imported, and is not looked into.
func reach(imports map[string][]string, pkg string, r rule) []string {
	seen := map[string]bool{}
	var walk func(string) []string
	walk = func(at string) []string {
		seen[at] = true
		for _, next := range imports[at] {
			if below(next, r.never) {
				return []string{at, next}
			}
			if seen[next] || below(next, r.except) || !below(next, []string{module}) {
				continue
			}
			if chain := walk(next); chain != nil {
				return append([]string{at}, chain...)
			}
		}
		return nil
	}
	return walk(pkg)
}

// readImports returns what the non-test files of each package of the module
// import, for all operating systems and architectures together.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			// Other modules, and what the go command ignores too.
			base := path.Base(rel)
			if rel == "testbed" || rel == "internal/tools" || base == "testdata" ||
				(rel != "." && (base[0] == '.' || base[0] == '_')) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		pkg := path.Join(module, path.Dir(rel))
		imports[pkg] = append(imports[pkg], []string{}...)
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(imports[pkg], name) {
				imports[pkg] = append(imports[pkg], name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

func TestRulesSeeAViolation(t *testing.T) {
	chain := reach(map[string][]string{
		module + "/internal/unit":   {module + "/internal/middle"},
		module + "/internal/middle": {"go.opentelemetry.io/collector/pdata/plog"},
	}, module+"/internal/unit", rules[len(own)+1])
	if len(chain) != 3 {
		t.Errorf("an indirect import of pdata went unseen: %v", chain)
	}
}
