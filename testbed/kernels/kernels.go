// Package kernels runs the tests of the capture and of the receiver on kernels
// other than this machine's, each in a virtual machine that has nothing but the
// kernel and the test programs.
package kernels

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Kernel is one machine to boot.
type Kernel struct {
	// Name is what the table calls it.
	Name string
	// Image is the file in the directory of kernels, Options what is added to
	// the kernel's command line.
	Image, Options string
	// Denied are the features that this kernel is known not to give.
	Denied []string
}

// All are the kernels of the matrix, those of Debian's releases.
func All() []Kernel {
	return []Kernel{
		{Name: "5.10 (Debian 11)", Image: "vmlinuz-bullseye", Denied: []string{"run delay of calls", "sample stacks", "snapshot stacks", "sockets of other network namespaces"}},
		{Name: "6.1 (Debian 12)", Image: "vmlinuz-bookworm"},
		{Name: "6.12 (Debian 13)", Image: "vmlinuz-trixie"},
		{Name: "6.12, lockdown=integrity", Image: "vmlinuz-trixie", Options: "lockdown=integrity"},
		{Name: "6.12, lockdown=confidentiality", Image: "vmlinuz-trixie", Options: "lockdown=confidentiality",
			Denied: []string{"sample stacks", "syscall stacks", "trace context", "wakings"}},
	}
}

// suites are the test programs and which of their tests run: those that meet
// the kernel, and are not about speed.
var suites = []struct{ name, pkg, tests string }{
	{"capture", "./internal/capture", "TestFeatures|TestNoPlaceIsCounted|TestWithoutStacks|TestVerifierRefusal|TestChildrenAreFollowed|" +
		"TestRemoveProcess|TestAttachAgain|TestPassedCalls|TestKilledTracerLeavesNoProgram|TestExitTellsCPUTime|" +
		"TestEveryCallIsDeliveredInOrder|TestShares|TestCallInFlight|TestThousandThreads|TestSamplesMatchCPUTime|TestSamplesAsOftenAsAllowed|" +
		"TestSnapshotsSeeBlockedThread|TestTraceContextOfAServer|TestTraceContextIsOptional|TestTraceContextCalls|" +
		"TestTraceContextProperty|TestDelayOfCalls|TestWhoWokeWhom|TestWakingsAreBounded|TestSocketsOfManyFiles"},
	{"machine", "./internal/machine", "TestElsewhere|TestElsewhereAsHere"},
	{"receiver", "./receiver/syscallreceiver", "TestKernel|TestKernelBurst|TestKernelWatch"},
}

// Result is what became of one kernel.
type Result struct {
	Kernel  Kernel            `json:"-"`
	Name    string            `json:"name"`
	Release string            `json:"release"`
	Passed  int               `json:"passed"`
	Skipped int               `json:"skipped"`
	Failed  []string          `json:"failed"`
	Denied  map[string]string `json:"denied"` // feature to reason
	Seconds float64           `json:"seconds"`
	Problem string            `json:"problem,omitempty"`
	// said are the last lines of the tests that failed.
	said []string
}

// Build makes the initial file system of the machines: init, and the tests of
// the repository's root module, in a new directory below out.
func Build(ctx context.Context, root, out string) (image string, err error) {
	dir := filepath.Join(out, "initramfs")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for _, d := range []string{"tests", "dev", "proc", "sys", "tmp", "bin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	run := func(in string, args ...string) error {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir, cmd.Env = in, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, text)
		}
		return nil
	}
	err = run(filepath.Join(root, "testbed"), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "init"), "./kernels/init")
	for _, s := range suites {
		file := filepath.Join(dir, "tests", s.name)
		args := "-test.v -test.timeout 8m -test.run ^(" + s.tests + ")$"
		err = errors.Join(err, run(root, "go", "test", "-c", "-trimpath", "-o", file+".test", s.pkg), os.WriteFile(file+".args", []byte(args), 0o600))
	}
	if err != nil {
		return "", err
	}
	image = filepath.Join(out, "initramfs.gz")
	return image, run(dir, "sh", "-c", "find . | cpio -o -H newc --quiet | gzip -1 > "+image)
}

// bootTimeout bounds one machine; it takes a minute or two.
const bootTimeout = 9 * time.Minute

// Boot runs the tests on one kernel; the console goes to a file.
func Boot(ctx context.Context, k Kernel, dir, image, console string) Result {
	r := Result{Kernel: k, Name: k.Name, Denied: map[string]string{}, Failed: []string{}}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	begun := time.Now()
	// One thread for both processors: with two, one may run code that the other
	// is patching, which a real processor forbids and QEMU allows.
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "Haswell-noTSX-IBRS,-cx16",
		"-smp", "2", "-m", "1024", "-nographic", "-no-reboot", "-net", "none",
		"-kernel", filepath.Join(dir, k.Image), "-initrd", image,
		"-append", strings.TrimSpace("console=ttyS0 panic=-1 quiet "+k.Options))
	out, err := os.Create(console)
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	r.Seconds = time.Since(begun).Seconds()
	text, readErr := os.ReadFile(console)
	r.read(string(text))
	if err = errors.Join(err, readErr); err != nil && r.Problem == "" {
		r.Problem = "the machine: " + err.Error()
	}
	return r
}

var (
	features = regexp.MustCompile(`FEATURES (\S+) \d+ denied`)
	denied   = regexp.MustCompile(`DENIED ([a-z ]+): (.*)`)
	outcome  = regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): (\S+)`)
	ended    = regexp.MustCompile(`(?m)^END (\S+) (.*)$`)
)

// read takes what the console says.
func (r *Result) read(text string) {
	text = strings.ReplaceAll(text, "\r", "")
	if m := features.FindStringSubmatch(text); m != nil {
		r.Release = m[1]
	}
	for _, m := range denied.FindAllStringSubmatch(text, -1) {
		r.Denied[m[1]] = m[2]
	}
	for _, m := range outcome.FindAllStringSubmatch(text, -1) {
		switch m[1] {
		case "PASS":
			r.Passed++
		case "SKIP":
			r.Skipped++
		case "FAIL":
			r.Failed = append(r.Failed, m[2])
			r.said = append(r.said, saidBy(text, m[2])...)
		}
	}
	finished := map[string]string{}
	for _, m := range ended.FindAllStringSubmatch(text, -1) {
		finished[m[1]] = m[2]
	}
	for _, s := range suites {
		if how, ok := finished[s.name]; !ok {
			r.Problem = "the tests of " + s.name + " did not end: " + lastLine(text)
			return
		} else if how != "ok" && len(r.Failed) == 0 {
			r.Problem = "the tests of " + s.name + ": " + how
		}
	}
	if i := strings.Index(text, "Kernel panic"); i >= 0 {
		r.Problem, _, _ = strings.Cut(text[i:], "\n")
	}
}

// saidBy returns the first and the last lines that a failed test wrote.
func saidBy(text, test string) []string {
	const first, last = 4, 8
	_, text, _ = strings.Cut(text, "=== RUN   "+test+"\n")
	text, _, _ = strings.Cut(text, "--- FAIL: "+test)
	lines := strings.Split(strings.TrimRight(text, " \n"), "\n")
	if more := len(lines) - first - last; more > 0 {
		lines = slices.Replace(lines, first, first+more, fmt.Sprintf("    (%d more lines)", more))
	}
	return lines
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// Err says what is wrong with a result: a test that failed, or a feature that
// is there or not there against what the matrix says.
func (r *Result) Err() error {
	var errs []error
	if r.Problem != "" {
		errs = append(errs, errors.New(r.Problem))
	}
	if len(r.Failed) > 0 {
		errs = append(errs, fmt.Errorf("failed: %s\n%s", strings.Join(r.Failed, ", "), strings.Join(r.said, "\n")))
	}
	if r.Passed == 0 {
		errs = append(errs, errors.New("no test passed"))
	}
	var is []string
	for f := range r.Denied {
		is = append(is, f)
	}
	slices.Sort(is)
	if want := slices.Sorted(slices.Values(r.Kernel.Denied)); !slices.Equal(is, want) {
		errs = append(errs, fmt.Errorf("denies %q, the matrix says %q", is, want))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}
