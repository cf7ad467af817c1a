package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// known is what is known of a service that answers a hundred requests a second for five
// minutes, of which some work takes a share of a CPU.
func known(t *testing.T, from int64, share float64) *inference.Memory {
	t.Helper()
	a := inference.NewAnalyzer(inference.DefaultConfig(), "amd64")
	a.Follow("one", "orders", 0)
	const second, samples = int64(time.Second), 40
	read, _ := threadtrace.Number("amd64", "read")
	stacks := []threadtrace.Stack{
		{Frames: []threadtrace.Frame{{Function: "price", Module: "orders"}, {Function: "serve", Module: "orders"}}},
		{Frames: []threadtrace.Frame{{Function: "reply", Module: "orders"}, {Function: "serve", Module: "orders"}}},
	}
	for i := range int64(300) {
		at := (from + i) * second
		var events []threadtrace.Event
		for j := range int64(samples) {
			at := at + j*second/samples
			for stack, share := range []float64{share, 0.2} {
				events = append(events, threadtrace.Event{
					Kind: threadtrace.KindSample, Time: at, Duration: int64(share * float64(second) / samples), Number: threadtrace.NoCall, Stack: uint32(stack + 1),
				})
			}
			for range 3 {
				events = append(events, threadtrace.Event{Kind: threadtrace.KindCall, Time: at, Duration: 1000, Number: read, Return: 100})
			}
		}
		a.AddBatch(&threadtrace.Batch{ThreadID: 1, Stacks: stacks, Events: events})
		a.AddCoverage(threadtrace.Coverage{
			Start: at, End: at + second, SamplePeriod: time.Second / samples, SnapshotPeriod: time.Second / 5, Threads: 1, Traced: time.Second,
			CPUTime: time.Duration((share + 0.2) * float64(time.Second)),
		})
		a.Advance(at)
	}
	m := a.Memory()
	if m == nil {
		t.Fatal("nothing is known")
	}
	return m
}

// folder keeps memories as the collector does.
func folder(t *testing.T, of []memories.Of, known []*inference.Memory) string {
	t.Helper()
	directory := t.TempDir()
	for i := range of {
		s := memories.New(zap.NewNop(), 1<<30, nil)
		s.Use(context.Background(), func(_ context.Context, name string) (storage.Client, error) {
			return memories.Files(filepath.Join(directory, name))
		})
		s.Keep(of[i], known[i])
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestTwoBuildsInAFolderAreCompared(t *testing.T) {
	old, dear := known(t, 1_700_000_000, 0.1), known(t, 1_700_001_000, 0.2)
	orders := func(version string) memories.Of {
		return memories.Of{Name: "orders", Program: "orders", Version: version}
	}
	directory := folder(t, []memories.Of{orders("1.0"), orders("1.1"), {Name: "carts", Version: "7"}}, []*inference.Memory{old, dear, old})
	for _, c := range []struct {
		name    string
		options options
		verdict inference.Verdict
		err     string
	}{
		{"the one service with two", options{}, inference.VerdictDearer, ""},
		{"by its name", options{service: "orders"}, inference.VerdictDearer, ""},
		{"by versions", options{before: "1.0", after: "1.1"}, inference.VerdictDearer, ""},
		{"a build that is not there", options{after: "1.2"}, "", "no two builds"},
		{"a service with one", options{service: "carts"}, "", "orders program orders version 1.1"},
	} {
		r, err := compare([]string{directory}, c.options)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || r.Verdict != c.verdict || r.Dearer[0].Function != "price" {
			t.Errorf("%s: %v, error %v", c.name, r, err)
		}
	}
}

func TestTwoFilesOfMemoriesAreCompared(t *testing.T) {
	directory := t.TempDir()
	var files []string
	for i, share := range []float64{0.2, 0.1} {
		data, err := known(t, int64(1_700_000_000+1000*i), share).Encode()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(directory, []string{"before", "after"}[i]))
		if err := os.WriteFile(files[i], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := compare(files, options{})
	if err != nil || r.Verdict != inference.VerdictCheaper || r.Cheaper[0].Function != "price" {
		t.Errorf("%+v, error %v", r, err)
	}
	if err := os.WriteFile(files[0], []byte("perfscope memory\x00\x09"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := compare(files, options{}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("a memory of a later version: %v", err)
	}
}
