package page

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/flightrecorder"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/recording"
	"github.com/perfscope/perfscope/testbed/replay"
)

// TestWhatThePageHandsOutIsJudgedAgain: the recording of the last minutes is one that
// replay takes, and says the same.
func TestWhatThePageHandsOutIsJudgedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.bin")
	err := Replay(t.Context(), recorded, "localhost:0", func(h *Host) error {
		services, err := h.Page.(evidence.Board).Sources()[0].Services(t.Context())
		if err != nil {
			return err
		}
		return download(t.Context(), h.Address()+"service/"+services[0].ID+"/records.bin", path)
	})
	if err != nil {
		t.Fatal(err)
	}
	before, after := told(t, recorded), told(t, path)
	if len(before) == 0 || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before:\n%v\nafter:\n%v", before, after)
	}
}

func download(ctx context.Context, address, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, answer.Status)
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, answer.Body)
	return err
}

// told is what a replay of a recording says.
func told(t *testing.T, path string) (said []string) {
	t.Helper()
	_, err := replay.Run(t.Context(), path, replay.Options{Told: func(a agent.Anomaly) {
		said = append(said, fmt.Sprint(a.Seen, a.State, a.Sentence, a.Score))
	}})
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// BenchmarkFlightRecorder is what it costs to keep the records of real servers, and what
// memory that takes.
func BenchmarkFlightRecorder(b *testing.B) {
	for _, name := range []string{"redis-fsync", "nginx-regex", "postgres-lock"} {
		b.Run(name, func(b *testing.B) {
			var payloads []plog.Logs
			var seen replay.Figures
			if err := recording.Read("../replay/testdata/"+name+".zst", func(ld plog.Logs) error {
				payloads = append(payloads, ld)
				seen.Add(ld)
				return nil
			}); err != nil {
				b.Fatal(err)
			}
			const most = 8 << 20
			before := heap()
			r, err := flightrecorder.New(most)
			if err != nil {
				b.Fatal(err)
			}
			rounds, begun := 0, cpuTime()
			b.ReportAllocs()
			for b.Loop() {
				rounds++
				for _, ld := range payloads {
					data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
					if err != nil {
						b.Fatal(err)
					}
					r.Add("service", int64(rounds), data)
				}
			}
			events := float64(seen.Events) * float64(rounds)
			took := cpuTime() - begun // others may have the processors, too
			b.ReportMetric(float64(took)/events, "CPU-ns/event")
			b.ReportMetric(100*took.Seconds()/float64(rounds)/seen.Recorded().Seconds(), "%CPU")
			b.ReportMetric(float64(heap()-before)/float64(r.Bytes()), "heap/bound")
			b.ReportMetric(float64(r.Of("service").Bytes)/float64(rounds)/float64(seen.Events), "B/event")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
