package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/testbed/recording"
	"github.com/perfscope/perfscope/testbed/replay"
)

const sample = "../../replay/testdata/nginx-regex.zst"

func TestChoice(t *testing.T) {
	events := func(c choice) int64 {
		t.Helper()
		var f replay.Figures
		if err := recording.Read(sample, func(ld plog.Logs) error {
			c.pick(ld)
			f.Add(ld)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return f.Events
	}
	all := events(choice{})
	if got := events(choice{service: "nginx"}); got != all || all == 0 {
		t.Errorf("of the service %d events of %d are taken", got, all)
	}
	if got := events(choice{service: "redis"}); got != 0 {
		t.Errorf("of another service %d events are taken", got)
	}
	one, two := events(choice{pids: []string{"6464"}}), events(choice{pids: []string{"6464", "6465"}})
	if one == 0 || two <= one {
		t.Errorf("of one process %d events are taken, of two %d", one, two)
	}
	first, rest := events(choice{to: 10 * time.Second}), events(choice{from: 10*time.Second + 1})
	if first == 0 || first > all/2 || first+rest != all {
		t.Errorf("of ten seconds %d events are taken, of the rest %d, of all %d", first, rest, all)
	}
}

func TestSaving(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "saved.zst")
	if err := run(t.Context(), sample, saved, &choice{service: "nginx"}, 0, nil, shown{}); err != nil {
		t.Fatal(err)
	}
	var was, is replay.Figures
	before, err := replay.Run(t.Context(), sample, replay.Options{Delivered: was.Add})
	if err != nil {
		t.Fatal(err)
	}
	after, err := replay.Run(t.Context(), saved, replay.Options{Delivered: func(ld plog.Logs) {
		is.Add(ld)
		for _, rl := range ld.ResourceLogs().All() {
			for _, key := range places {
				if _, there := rl.Resource().Attributes().Get(key); there {
					t.Fatalf("it says where it was recorded: %s", key)
				}
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if is.Events != was.Events || len(after) != len(before) || after[0].Sentence != before[0].Sentence {
		t.Errorf("%d events and %+v were saved, of %d and %+v", is.Events, after, was.Events, before)
	}
	if err := run(t.Context(), sample, saved, &choice{}, 0, nil, shown{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
}

func TestErrorsNameCauseAndFix(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.bin")
	half := filepath.Join(t.TempDir(), "half.bin")
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(half, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		none:                         {"no such file", "config/record.yaml"},
		half:                         {"ends within a message", "Stop the collector"},
		"../../../config/agent.yaml": {"no recording"},
	} {
		err := run(t.Context(), path, "", &choice{}, 0, nil, shown{})
		if err == nil {
			t.Fatalf("%s: no error", path)
		}
		for _, part := range want {
			if !strings.Contains(explained(err), part) {
				t.Errorf("%s: %q does not say %q", path, explained(err), part)
			}
		}
	}
	if err := run(t.Context(), sample, "", &choice{service: "none"}, 0, nil, shown{}); err == nil || !strings.Contains(err.Error(), "chosen") {
		t.Errorf("nothing is chosen: %v", err)
	}
}
