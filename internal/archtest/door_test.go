package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What targets control is opened, read and looked at through internal/rootfs only.
var (
	behindTheDoor = []string{"internal/process", "internal/stack", "internal/jvm", "receiver/syscallreceiver"}
	// hostFiles read what is the host's own, and nothing of a process's.
	hostFiles = []string{"internal/process/host.go", "receiver/syscallreceiver/memory_linux.go"}
	// openers are the functions that take a path or an address.
	openers = map[string][]string{
		"os": {
			"Open", "OpenFile", "OpenInRoot", "OpenRoot", "ReadFile", "ReadDir", "Readlink", "Stat", "Lstat", "Create", "CreateTemp", "WriteFile",
			"DirFS", "Remove", "RemoveAll", "Rename", "Mkdir", "MkdirAll", "Link", "Symlink", "Chmod", "Chown", "Truncate",
		},
		"path/filepath":         {"Glob", "Walk", "WalkDir", "EvalSymlinks"},
		"net":                   {"Dial", "DialTimeout", "DialUnix", "Dialer"},
		"syscall":               {"Open", "Openat", "Stat", "Lstat", "Readlink", "Unlink", "Mknod", "Access"},
		"golang.org/x/sys/unix": {"Open", "Openat", "Openat2", "Stat", "Lstat", "Fstatat", "Statx", "Readlink", "Readlinkat", "Unlink", "Unlinkat", "Access", "Connect"},
	}
)

func TestTargetsAreReadThroughTheDoor(t *testing.T) {
	files := 0
	for _, dir := range behindTheDoor {
		list, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range list {
			name := filepath.ToSlash(strings.TrimPrefix(file, "../../"))
			if strings.HasSuffix(file, "_test.go") || slices.Contains(hostFiles, name) {
				continue
			}
			files++
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, use := range opensItself(t, name, src) {
				t.Errorf("%s: a target may let that wait for ever, or lead it anywhere: use internal/rootfs", use)
			}
		}
	}
	if files < 40 {
		t.Errorf("only %d files were looked at", files)
	}
}

// opensItself finds the uses of openers in a file.
func opensItself(t *testing.T, name string, src []byte) []string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, spec := range parsed.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		as := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			as = spec.Name.Name
		}
		if functions, ok := openers[path]; ok {
			names[as] = functions
		}
	}
	var found []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && slices.Contains(names[x.Name], s.Sel.Name) {
			found = append(found, set.Position(s.Pos()).String()+": "+x.Name+"."+s.Sel.Name)
		}
		return true
	})
	return found
}

func TestTheDoorRuleSeesAViolation(t *testing.T) {
	src := "package p\nimport sys \"golang.org/x/sys/unix\"\nimport \"os\"\nfunc f() { os.Stat(\"\"); os.Getpid(); sys.Open(\"\", 0, 0) }\n"
	if found := opensItself(t, "p.go", []byte(src)); len(found) != 2 {
		t.Errorf("found %q", found)
	}
}
