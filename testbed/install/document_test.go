package install

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Above each shell block of docs/install stands whether it is run: a comment, which
// readers do not see.
var (
	marked = regexp.MustCompile("(?m)^<!-- (run|not run): (.+) -->\n```sh\n")
	fenced = regexp.MustCompile("(?m)^```sh\n")
)

// pages are the documents of docs/install by name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "install", "*.md"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d pages: %v", len(files), err)
	}
	out := map[string]string{}
	for _, file := range files {
		out[filepath.Base(file)] = read(t, file)
	}
	return out
}

// documented are the commands of a page that are marked with a name, with sudo in
// place of which they are run by root.
func documented(t *testing.T, page, name string) string {
	t.Helper()
	_, block, found := strings.Cut(pages(t)[page], "<!-- run: "+name+" -->\n```sh\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("%s has no commands that are marked %q", page, name)
	}
	return "sudo() { \"$@\"; }\n" + block
}

// TestEveryCommandOfTheDocumentsIsRun, or the page says why it is not: which, is what
// this test prints.
func TestEveryCommandOfTheDocumentsIsRun(t *testing.T) {
	sources, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range sources {
		code.WriteString(read(t, file))
	}
	for name, text := range pages(t) {
		marks := marked.FindAllStringSubmatch(text, -1)
		if blocks := len(fenced.FindAllString(text, -1)); blocks != len(marks) {
			t.Errorf("%s has %d shell blocks and %d of them with a mark: put <!-- run: NAME --> or <!-- not run: REASON --> above each", name, blocks, len(marks))
		}
		for _, m := range marks {
			if m[1] == "not run" {
				t.Logf("%s: not run: %s", name, m[2])
			} else if call := `documented(t, "` + name + `", "` + m[2] + `")`; !strings.Contains(code.String(), call) {
				t.Errorf("no test runs what %s marks %q", name, m[2])
			}
		}
	}
}
