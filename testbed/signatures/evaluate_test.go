package signatures

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
)

// record writes a recording of a server that reads, now and then saves, and
// answers; names says what its functions are called in the second half.
func record(t *testing.T, names func(half int, name string) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.bin")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := recording.NewWriter(file)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	now := int64(1e18)
	for half := range 2 {
		stacks := func(list ...string) (s threadtrace.Stack) {
			for _, n := range list {
				s.Frames = append(s.Frames, threadtrace.Frame{Function: names(half, n), Module: "server"})
			}
			return s
		}
		b := &threadtrace.Batch{ThreadID: 1, Stacks: []threadtrace.Stack{
			stacks("loop", "main"), stacks("receive", "loop", "main"), stacks("save", "loop", "main"), stacks("answer", "loop", "main"),
		}}
		do := func(name string, stack uint32) {
			number, _ := threadtrace.Number("amd64", name)
			b.Events = append(b.Events, threadtrace.Event{Time: now, Duration: 400, Number: number, Return: 1, Stack: stack})
			now += 1000
		}
		for range 1000 {
			do("epoll_wait", 1)
			do("recvfrom", 2)
			if r.IntN(3) == 0 {
				do("write", 3)
				do("fdatasync", 3)
			}
			do("write", 4)
		}
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("process.executable.path", "/usr/bin/server")
		rl.Resource().Attributes().PutStr("process.executable.build_id.gnu", "60f4")
		rl.Resource().Attributes().PutStr("host.arch", "amd64")
		tracelog.AppendBatch(rl.ScopeLogs().AppendEmpty().LogRecords(), tracelog.FormatPacked, "amd64", b)
		if err := w.Write(ld); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEvaluate(t *testing.T) {
	row, f, err := Evaluate(record(t, func(_ int, name string) string { return name }))
	if err != nil {
		t.Fatal(err)
	}
	if row.Precision < 0.99 || row.Recall < 0.99 || row.CallPrecision < 0.99 || row.CallRecall < 0.45 || row.Functions < 2 || row.Units < 990 {
		t.Errorf("%+v", row)
	}
	if f.Calls == 0 || f.Calls > 5000 {
		t.Errorf("%d calls were mined, of about 8000 in both halves", f.Calls)
	}
}

// Where other functions run in the second half, nothing may be right.
func TestEvaluateSeesWhatIsWrong(t *testing.T) {
	row, _, err := Evaluate(record(t, func(half int, name string) string {
		if half == 1 {
			return "other_" + name
		}
		return name
	}))
	if err != nil {
		t.Fatal(err)
	}
	if row.Precision > 0.01 || row.Recall > 0.01 || len(row.Confusions) == 0 || row.Confusions[0].Told != "receive" || row.Confusions[0].Really != "other_receive" {
		t.Errorf("%+v", row)
	}
}

func TestSubjectsExist(t *testing.T) {
	for _, s := range Subjects() {
		if _, err := s.scenario(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}
