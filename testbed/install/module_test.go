package install

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

const modulePath = "github.com/perfscope/perfscope"

// publish makes a module proxy in a folder that has the checkout as one version
// of the module: what the proxy of the Internet has once that version is tagged.
func publish(t *testing.T, checkout, version string) (proxy string) {
	t.Helper()
	proxy = t.TempDir()
	dir := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"list":            version + "\n",
		version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version),
		version + ".mod":  string(mod),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := modzip.Create(out, module.Version{Path: modulePath, Version: version}, tracked(t, checkout)); err != nil {
		t.Fatal(err)
	}
	return proxy
}

// tracked are the files of the checkout that a tag would have, without those of
// the modules inside it.
func tracked(t *testing.T, checkout string) (files []modzip.File) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = checkout
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	var nested []string
	for _, name := range names {
		if dir, is := strings.CutSuffix(name, "/go.mod"); is {
			nested = append(nested, dir+"/")
		}
	}
	for _, name := range names {
		inside := false
		for _, dir := range nested {
			inside = inside || strings.HasPrefix(name, dir)
		}
		full := filepath.Join(checkout, name)
		info, err := os.Lstat(full)
		if inside || err != nil || !info.Mode().IsRegular() {
			continue // a deleted file is still in the index
		}
		files = append(files, checkoutFile{name, full})
	}
	return files
}

type checkoutFile struct{ name, full string }

func (f checkoutFile) Path() string                 { return f.name }
func (f checkoutFile) Lstat() (os.FileInfo, error)  { return os.Lstat(f.full) }
func (f checkoutFile) Open() (io.ReadCloser, error) { return os.Open(f.full) }
