package tail

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
)

// Save puts results into a file that has a JSON list of them, in the place of earlier
// ones of the same scenario and share. It has the file locked meanwhile: several
// evaluations may run at a time.
func Save(path string, results []Result) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	var all []Result
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
	}
	if data, err = json.MarshalIndent(merged(all, results), "", "  "); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(data, '\n'), 0)
	return err
}

// merged are earlier results and new ones, in order.
func merged(all, results []Result) []Result {
	for i := range results {
		r := &results[i]
		same := func(o Result) bool { return o.Scenario == r.Scenario && o.Share == r.Share && o.Spans == r.Spans }
		if at := slices.IndexFunc(all, same); at >= 0 && r.Replayed {
			// What only a live run knows.
			o := all[at]
			r.Baselines, r.Annotated, r.Wrongly, r.Warnings = o.Baselines, o.Annotated, o.Wrongly, o.Warnings
		}
		all = slices.DeleteFunc(all, same)
	}
	all = append(all, results...)
	slices.SortStableFunc(all, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Share, b.Share), cmp.Compare(a.Scenario, b.Scenario))
	})
	return all
}
