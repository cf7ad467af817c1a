package life

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/testbed/recording"
	"github.com/perfscope/perfscope/testbed/runner"
)

// Labels say what the recording of a run shows: labels.json. What happened is in
// life.jsonl beside it.
type Labels struct {
	runner.Labels
	Seed      uint64          `json:"seed"`
	Instances []InstanceLabel `json:"instances"`

	bytes int64
}

// InstanceLabel says what is an instance's in a recording.
type InstanceLabel struct {
	Name     string `json:"name"`
	Service  string `json:"service"`
	Scenario string `json:"scenario"`
	Addr     string `json:"addr"`
	// PIDs are its processes, those that have ended among them; IDs are the
	// service.instance.id that they had, one after the other.
	PIDs []int    `json:"pids"`
	IDs  []string `json:"instance_ids"`
	// Events is how many the recording has of it.
	Events int64 `json:"events"`
	// LeftOut is set when it ended by itself too often.
	LeftOut bool `json:"left_out,omitempty"`
}

func (r *run) labels() Labels {
	l := Labels{Labels: runner.Labels{Scenario: r.o.Name, Recording: r.recording, Start: r.started, End: time.Now()}, Seed: r.o.Seed}
	for _, in := range r.instances {
		l.Instances = append(l.Instances, InstanceLabel{
			Name: in.Name, Service: in.Scenario.Server, Scenario: in.Scenario.Name, Addr: in.work.Server.Addr,
			PIDs: slices.Sorted(maps.Keys(in.pids)), IDs: []string{}, LeftOut: in.left,
		})
	}
	return l
}

// finish makes one file of what was recorded and reads from it which instance
// has which service.instance.id.
func (l *Labels) finish(dir string) error {
	if l.Recording == "" {
		return nil
	}
	if err := join(dir); err != nil {
		return err
	}
	l.bytes = recorded(dir)
	byPID := map[int64]*InstanceLabel{}
	for i := range l.Instances {
		for _, pid := range l.Instances[i].PIDs {
			byPID[int64(pid)] = &l.Instances[i]
		}
	}
	err := recording.Read(l.Recording, func(ld plog.Logs) error {
		for _, rl := range ld.ResourceLogs().All() {
			l.read(rl, byPID)
		}
		return nil
	})
	if errors.Is(err, recording.ErrTruncated) {
		err = nil
	}
	return err
}

func (l *Labels) read(rl plog.ResourceLogs, byPID map[int64]*InstanceLabel) {
	pid, ok := rl.Resource().Attributes().Get("process.pid")
	if !ok {
		return
	}
	in := byPID[pid.Int()]
	if in == nil {
		return // another server of the machine
	}
	if id := textOf(rl.Resource().Attributes(), "service.instance.id"); id != "" && !slices.Contains(in.IDs, id) {
		in.IDs = append(in.IDs, id)
	}
	for _, sl := range rl.ScopeLogs().All() {
		for _, rec := range sl.LogRecords().All() {
			if n, ok := rec.Attributes().Get("perfscope.batch.events"); ok {
				in.Events += n.Int()
			}
		}
	}
}

func textOf(m pcommon.Map, key string) string {
	v, _ := m.Get(key)
	return v.AsString()
}

// parts are the files of a recording, in order: the exporter renames one that
// has become large.
func parts(dir string) []string {
	older, _ := filepath.Glob(filepath.Join(dir, "records-*.bin")) // the pattern is right
	slices.Sort(older)
	return append(older, filepath.Join(dir, "records.bin"))
}

// recorded is the size of a recording so far.
func recorded(dir string) (size int64) {
	for _, part := range parts(dir) {
		if info, err := os.Stat(part); err == nil {
			size += info.Size()
		}
	}
	return size
}

// removeOlder removes the parts that a run before this one left.
func removeOlder(dir string) error {
	for _, part := range parts(dir) {
		if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// join makes one file of the parts of a recording.
func join(dir string) error {
	all := parts(dir)
	if len(all) == 1 {
		return nil
	}
	out, err := os.OpenFile(all[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, part := range all[1:] {
		if err == nil {
			err = appendTo(out, part)
		}
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(all[0], all[len(all)-1])
}

func appendTo(out io.Writer, part string) error {
	in, err := os.Open(part)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, in.Close(), os.Remove(part))
}

func kindsOfServer(instances []*instance) int {
	kinds := map[string]bool{}
	for _, in := range instances {
		kinds[in.Scenario.Server] = true
	}
	return len(kinds)
}

func sortedKinds(m map[Kind]Count) []Kind { return slices.Sorted(maps.Keys(m)) }
