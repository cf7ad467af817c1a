package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestOneVersion: what the manifests build, the README installs and the
// changelog names is the same release.
func TestOneVersion(t *testing.T) {
	root := filepath.Join("..", "..")
	text := func(name string) string {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := regexp.MustCompile(`(?m)^  version: (\S+)$`).FindStringSubmatch(text("builder-config.yaml"))
	if first == nil {
		t.Fatal("builder-config.yaml has no version")
	}
	for _, c := range []struct{ file, pattern string }{
		{"builder-config.yaml", `gomod: github\.com/perfscope/perfscope v(\S+)`},
		{"builder-config-full.yaml", `(?m)^  version: (\S+)$`},
		{"builder-config-full.yaml", `gomod: github\.com/perfscope/perfscope v(\S+)`},
		{"README.md", `gomod: github\.com/perfscope/perfscope v(\S+)`},
		{"docs/install/own-collector.md", `perfscope v(\d+\.\d+\.\d+)`},
		{"CHANGELOG.md", `(?m)^## (\d\S*)$`},
	} {
		found := regexp.MustCompile(c.pattern).FindAllStringSubmatch(text(c.file), -1)
		if len(found) == 0 {
			t.Errorf("%s has no version like %s", c.file, c.pattern)
		}
		if c.file == "CHANGELOG.md" && len(found) > 0 {
			found = found[:1] // the latest
		}
		for _, m := range found {
			if m[1] != first[1] {
				t.Errorf("%s says %s, builder-config.yaml %s", c.file, m[1], first[1])
			}
		}
	}
}
