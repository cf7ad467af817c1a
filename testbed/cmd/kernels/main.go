// Command kernels runs the tests of the capture and the receiver on the kernels
// of the matrix, prints what each gives, and writes testbed/out/kernels.json.
// Names as arguments (5.10, lockdown=integrity) choose some of them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/perfscope/perfscope/testbed/kernels"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run is called in the repository's root.
func run(ctx context.Context, names []string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	out := filepath.Join(root, "testbed", "out", "kernels")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	fetch := exec.CommandContext(ctx, filepath.Join(root, "testbed", "kernels", "fetch.sh"), out)
	fetch.Stdout, fetch.Stderr = os.Stdout, os.Stderr
	if err := fetch.Run(); err != nil {
		return fmt.Errorf("the kernels cannot be fetched: %w", err)
	}
	image, err := kernels.Build(ctx, root, out)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(kernels.All(), func(k kernels.Kernel) bool {
		return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(k.Name, n) })
	})
	// Each machine keeps one processor busy.
	free := make(chan struct{}, runtime.NumCPU())
	results := make([]kernels.Result, len(chosen))
	var boots sync.WaitGroup
	for i, k := range chosen {
		boots.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i] = kernels.Boot(ctx, k, out, image, filepath.Join(out, fmt.Sprintf("console-%d.log", i)))
		})
	}
	boots.Wait()
	var failed error
	for i, r := range results {
		if err := r.Err(); err != nil && ctx.Err() == nil {
			// An emulated machine beside another can be too slow for a
			// deadline; what is wrong with the kernel fails alone, too.
			fmt.Printf("%v; once more, alone\n", err)
			r = kernels.Boot(ctx, r.Kernel, out, image, filepath.Join(out, fmt.Sprintf("console-%d-again.log", i)))
			results[i] = r
		}
		failed = errors.Join(failed, r.Err())
		fmt.Printf("%-32s %-26s %2d passed, %d skipped, %d failed, %3.0f s\n", r.Name, r.Release, r.Passed, r.Skipped, len(r.Failed), r.Seconds)
		for _, f := range r.Kernel.Denied {
			fmt.Printf("    without %s: %s\n", f, r.Denied[f])
		}
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(failed, os.WriteFile(filepath.Join(root, "testbed", "out", "kernels.json"), append(data, '\n'), 0o600))
}
