package scoreboard

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

const (
	epoch = int64(1_700_000_000) * int64(time.Second)
	onset = 60
	pid   = 4711
)

// recordFault writes the recording of redis-keys as a simulation has it: one thread
// that computes a little, and from the onset on nothing but keysCommand.
func recordFault(t *testing.T, folder string) {
	t.Helper()
	dir := filepath.Join(folder, "redis-keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := recording.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for s := range int64(onset + 30) {
		if err := w.Write(second(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "records.bin"), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	l := runner.Labels{Scenario: "redis-keys", Recording: "records.bin", Start: time.Unix(0, epoch), Onset: time.Unix(0, epoch+onset*1e9), PIDs: []int{pid}}
	if err := l.Save(dir); err != nil {
		t.Fatal(err)
	}
}

func second(s int64) plog.Logs {
	at := epoch + s*1e9
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	attrs := rl.Resource().Attributes()
	attrs.PutStr("service.name", "redis")
	attrs.PutStr("host.arch", "amd64")
	attrs.PutInt("process.pid", pid)
	b := &threadtrace.Batch{ThreadID: pid, Stacks: []threadtrace.Stack{
		{Frames: []threadtrace.Frame{{Function: "lookup", Module: "redis-server"}, {Function: "main", Module: "redis-server"}}},
		{Frames: []threadtrace.Frame{{Function: "keysCommand", Module: "redis-server"}, {Function: "main", Module: "redis-server"}}},
	}}
	add := func(n int, stack uint32) {
		for range n {
			b.Events = append(b.Events, threadtrace.Event{
				Kind: threadtrace.KindSample, Time: at + int64(len(b.Events)+1)*20e6, Duration: 20e6, Number: threadtrace.NoCall, Stack: stack,
			})
		}
	}
	cpu := time.Duration(s%3+4) * 20 * time.Millisecond
	add(int(cpu/(20*time.Millisecond)), 1)
	if s >= onset {
		add(40, 2)
		cpu += 800 * time.Millisecond
	}
	read, _ := threadtrace.Number("amd64", "read")
	for n := range int64(50) {
		b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindCall, Time: at + n*19e6, Duration: 2000, Number: read, Return: 100})
	}
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	tracelog.AppendBatch(records, tracelog.FormatPacked, "amd64", b)
	tracelog.AppendCoverage(records, &threadtrace.Coverage{
		Start: at, End: at + 1e9, Traced: time.Second, SamplePeriod: 20 * time.Millisecond, SnapshotPeriod: 200 * time.Millisecond, CPUTime: cpu, Threads: 1,
	})
	tracelog.AppendMachine(records, &threadtrace.Machine{
		Start: at, End: at + 1e9, Readings: []threadtrace.Reading{
			{Measure: threadtrace.MeasureHostBusy, Value: 5e8 + 1e8*(s%3)}, {Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 1e7},
		},
		Users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 3, Value: 1e8}, {Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 4, Value: 1e8}},
	})
	return ld
}

func newJudge(arch string) Judge { return inference.NewAnalyzer(inference.DefaultConfig(), arch) }

// newWholeJudge judges whole hops only: how much of a hop is there when half of it is over
// hangs on how long the intervals of a recording are.
func newWholeJudge(arch string) Judge {
	cfg := inference.DefaultConfig()
	cfg.Without = []inference.Rule{inference.RuleAhead}
	return inference.NewAnalyzer(cfg, arch)
}

func judge(t *testing.T, folder string, phases int, newJudge func(arch string) Judge) Board {
	t.Helper()
	c, err := OpenCorpus([]string{folder}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Judge(Options{NewJudge: newJudge, Phases: Phases(phases)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAThinRecordingIsJudgedAsTheRawOne(t *testing.T) {
	raw, thinned := t.TempDir(), t.TempDir()
	recordFault(t, raw)
	c, err := OpenCorpus([]string{raw}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if err := Convert(c, thinned, &log); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "redis-keys") {
		t.Errorf("the sizes are not said: %q", log.String())
	}
	was, got := judge(t, raw, 5, newWholeJudge), judge(t, thinned, 5, newWholeJudge)
	if len(was.Rows) != 5 || !was.Rows[0].Detected || was.Rows[0].Rank != 1 || was.Rows[0].Cause != "code" || was.Causes.Code != 5 {
		t.Fatalf("the raw recording says nothing: %+v", was.Rows)
	}
	for i := range was.Rows {
		a, b := was.Rows[i], got.Rows[i]
		// The raw one is healthy from its first delivery on.
		a.HealthySeconds, b.HealthySeconds = 0, 0
		if (b.Baselines != nil) != (i == 0) || a.Baselines != nil {
			t.Errorf("phase %v: other means rank %+v, of the raw one %+v", a.Phase, b.Baselines, a.Baselines)
		}
		b.Baselines = nil
		if !reflect.DeepEqual(a, b) {
			t.Errorf("phase %v:\ngot  %+v\nwant %+v", a.Phase, b, a)
		}
	}
	was, got = judge(t, raw, 5, newJudge), judge(t, thinned, 5, newJudge)
	for i := range was.Rows {
		a, b := was.Rows[i], got.Rows[i]
		if !b.Detected || b.Rank != a.Rank || math.Abs(a.Seconds-b.Seconds) > 5 {
			t.Errorf("phase %v, judged ahead:\ngot  %+v\nwant %+v", a.Phase, b, a)
		}
	}
	l, err := readLabels(filepath.Join(thinned, "redis-keys"))
	if err != nil || len(l.PIDs) > 0 || !IsThin(l.Recording) {
		t.Errorf("labels %+v, %v", l, err)
	}
}

func TestLifeIsSharedInHalves(t *testing.T) {
	life := []Life{{Name: "a", Split: scenario.Report}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}}
	share(life)
	n := map[scenario.Split]int{}
	for _, l := range life {
		n[l.Split]++
	}
	if life[0].Split != scenario.Report || n[scenario.Tune] != 3 || n[scenario.Report] != 2 {
		t.Errorf("%+v", life)
	}
}

func TestACorpusThatIsNotThereIsSaid(t *testing.T) {
	for name, folder := range map[string]string{"no folder": filepath.Join(t.TempDir(), "none"), "nothing in it": t.TempDir()} {
		if _, err := OpenCorpus([]string{folder}, nil); err == nil || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWorseFiguresAreSaid(t *testing.T) {
	board := func(change func(*Board)) *Board {
		b := &Board{
			Faults:         map[string]Faults{"tune": {N: 10, Detected: 0.9, First: 0.8, Top3: 0.9, Mean: 2}},
			HealthyBySplit: map[string]Healthy{"tune": {Alarms: 2}},
			Causes:         Causes{Code: 5, Innocent: 1, External: 4, Kind: 3, Blamed: 1},
		}
		change(b)
		return b
	}
	faults := func(change func(*Faults)) func(*Board) {
		return func(b *Board) {
			f := b.Faults["tune"]
			change(&f)
			b.Faults["tune"] = f
		}
	}
	frozen := Freeze(board(func(*Board) {}))
	for _, tc := range []struct {
		name   string
		change func(*Board)
		want   string // nothing is worse
	}{
		{"the same", func(*Board) {}, ""},
		{"better", faults(func(f *Faults) { f.First, f.Mean = 0.9, 1.5 }), ""},
		{"fewer detected", faults(func(f *Faults) { f.Detected = 0.8 }), "tune: detected was 0.9000 and is 0.8000"},
		{"fewer first", faults(func(f *Faults) { f.First = 0.7 }), "tune: first was 0.8000 and is 0.7000"},
		{"fewer in the top three", faults(func(f *Faults) { f.Top3 = 0.8 }), "tune: top3 was 0.9000 and is 0.8000"},
		{"a higher mean rank", faults(func(f *Faults) { f.Mean = 2.1 }), "tune: mean rank was 2.0000 and is 2.1000"},
		{"another corpus", faults(func(f *Faults) { f.N = 5 }), "tune: 5 judgements of faults, 10 are frozen: the corpus is another"},
		{"a half that is gone", func(b *Board) { delete(b.Faults, "tune") }, "tune: 0 judgements of faults, 10 are frozen: the corpus is another"},
		{"more alarms", func(b *Board) { b.HealthyBySplit["tune"] = Healthy{Alarms: 3} }, "tune: healthy services gave 2 alarms and give 3"},
		{"code that is called innocent", func(b *Board) { b.Causes.Innocent = 2 }, "faults of code with no function named: they were 1 and are 2"},
		{"a machine that is not told", func(b *Board) { b.Causes.Kind = 2 }, "causes of the machine that are told right: they were 3 and are 2"},
		{"code that is blamed for a machine", func(b *Board) { b.Causes.Blamed = 2 }, "causes of the machine that code is blamed for: they were 1 and are 2"},
		{"causes that are told better", func(b *Board) { b.Causes = Causes{External: 4, Kind: 4} }, ""},
		{"other causes", func(b *Board) { b.Causes.External = 9 }, "9 judgements of causes that are nobody's code, 4 are frozen: the corpus is another"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(frozen.Worse(board(tc.change)), "; "); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), FrozenName)
	if err := frozen.Save(path); err != nil {
		t.Fatal(err)
	}
	if again, err := LoadFrozen(path); err != nil || !reflect.DeepEqual(again, frozen) {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestTheDocumentSaysWhereThePromiseIsBroken(t *testing.T) {
	b := Board{
		Faults:      map[string]Faults{"report": {N: 5, Detected: 1, First: 0.8, Mean: 1.2, MedianSeconds: 7}},
		Healthy:     NewHealthy(2*86400, 3),
		Calibration: []Calibration{{AskedPerDay: 0.1, GotPerDay: 1.5}},
	}
	var out strings.Builder
	b.Markdown(&out)
	for _, want := range []string{
		"| report | 5 | 100 % | 80 % | 0 % | 0 % | 1.2 | 7.0 | 0 % |",
		"3 anomalies in 2.0 service-days, 1.5 a day",
		"| 0.1 | 1.5 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
