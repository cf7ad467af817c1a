package tail

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestSaveAtATime(t *testing.T) {
	const evaluations = 20
	path := filepath.Join(t.TempDir(), "tail.json")
	var all sync.WaitGroup
	for i := range evaluations {
		all.Go(func() {
			for _, spans := range []bool{true, false} {
				if err := Save(path, []Result{{Scenario: fmt.Sprint(i), Share: 0.1, Spans: spans, Rank: i}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := len(read(t, path)); got != 2*evaluations {
		t.Errorf("%d results are left of %d", got, 2*evaluations)
	}
}

func TestSaveInThePlaceOfEarlierOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tail.json")
	for _, results := range [][]Result{
		{{Scenario: "b", Share: 0.1, Rank: 3, Warnings: 2, Summary: "a long one, so that a shorter list leaves nothing of it behind"}, {Scenario: "a", Share: 0.1, Rank: 1}},
		{{Scenario: "b", Share: 0.1, Rank: 1, Replayed: true}},
	} {
		if err := Save(path, results); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, path)
	if len(got) != 2 || got[0].Scenario != "a" || got[1].Rank != 1 || got[1].Warnings != 2 || got[1].Summary != "" {
		t.Errorf("%+v", got)
	}
}

func read(t *testing.T, path string) (list []Result) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}
