package kernels

import (
	"strings"
	"testing"
)

const console = `booting
=== RUN   TestFeatures
    tracer_test.go:150: DENIED sample stacks: too old
    tracer_test.go:155: FEATURES 5.10.0-46-cloud-amd64 1 denied
--- PASS: TestFeatures (1.20s)
--- SKIP: TestSamplesMatchCPUTime (0.10s)
=== RUN   TestSlow
=== RUN   TestSlow/one
    slow_test.go:3: not within 10s
--- FAIL: TestSlow (0.10s)
    --- FAIL: TestSlow/one (0.10s)
FAIL

END capture exit status 1

END machine ok
--- PASS: TestKernel (1.00s)

END receiver ok
`

func TestReadConsole(t *testing.T) {
	r := Result{Name: "old", Denied: map[string]string{}}
	r.read(console)
	if r.Release != "5.10.0-46-cloud-amd64" || r.Passed != 2 || r.Skipped != 1 || len(r.Failed) != 2 || r.Denied["sample stacks"] != "too old" || r.Problem != "" {
		t.Errorf("%+v", r)
	}
	err := r.Err()
	for _, want := range []string{"failed: TestSlow, TestSlow/one", "slow_test.go:3: not within 10s", `denies ["sample stacks"], the matrix says []`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r = Result{Name: "cut", Denied: map[string]string{}}
	r.read(console[:strings.Index(console, "END receiver")] + "[  56.2] Kernel panic - not syncing\n")
	if r.Err() == nil || !strings.Contains(r.Problem, "receiver did not end") {
		t.Errorf("half a run: %q", r.Problem)
	}
	good := strings.ReplaceAll(strings.ReplaceAll(console, "--- FAIL", "--- PASS"), "exit status 1", "ok")
	r = Result{Name: "good", Denied: map[string]string{}, Kernel: Kernel{Denied: []string{"sample stacks"}}}
	if r.read(good); r.Err() != nil {
		t.Error(r.Err())
	}
}
