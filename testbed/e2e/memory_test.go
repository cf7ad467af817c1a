//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// raisedAfter is the first anomaly of a process that is raised after an instant; it waits
// for a time. Other tests may run a redis of their own meanwhile.
func raisedAfter(t *testing.T, a *agent.Agent, pid int, since time.Time, patience time.Duration) (found agent.Anomaly, ok bool) {
	t.Helper()
	return anomalyAfter(t, a, pid, since, patience, "raised")
}

func anomalyAfter(t *testing.T, a *agent.Agent, pid int, since time.Time, patience time.Duration, state string) (found agent.Anomaly, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_ = agent.Follow(ctx, a.AnomalyFile, func(x agent.Anomaly) {
		if !ok && x.State == state && x.PID == pid && x.End.After(since) {
			found, ok = x, true
			cancel()
		}
	})
	return found, ok
}

// TestMemory ends the agent in the middle of a fault in every way there is: the anomaly
// is there again within two hops, under its ID, without learning anew. A service that
// is restarted keeps its past.
func TestMemory(t *testing.T) {
	needRoot(t)
	// What the demo's fault costs is up to the disk; this one computes.
	all := scenario.All()
	w := startScenario(t, all[slices.IndexFunc(all, func(sc scenario.Scenario) bool { return sc.Name == "redis-keys" })])
	out := t.TempDir()
	start := func() *agent.Agent {
		a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: config, Out: out, Remember: true})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := start()
	defer func() { _ = a.Stop() }()
	time.Sleep(55 * time.Second)
	begun := time.Now()
	end, err := w.Fault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	first, ok := raisedAfter(t, a, w.Server.PID(), begun, 25*time.Second)
	if !ok {
		t.Fatal("the fault is not told")
	}
	// Two hops, the one that the start falls into, and what a flush takes.
	const again = 3*5*time.Second + 3*time.Second
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"kill -9", func() error {
			_ = a.Signal(syscall.SIGKILL)
			<-a.Done()
			a = start()
			return nil
		}},
		{"SIGTERM", func() error {
			err := a.Stop()
			a = start()
			return err
		}},
		{"SIGHUP", func() error { return a.Signal(syscall.SIGHUP) }},
	} {
		time.Sleep(3 * time.Second) // what is written at once is on the disk
		since := time.Now()
		if err := way.do(); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		x, ok := raisedAfter(t, a, w.Server.PID(), since, again)
		if !ok {
			log, _ := os.ReadFile(a.Log)
			t.Fatalf("%s: not told again within %s:\n%s", way.name, again, log)
		}
		if x.ID != first.ID {
			t.Errorf("%s: told as %s (%s), was %s (%s to %s: %s)", way.name, x.ID, x.Sentence, first.ID, first.Start, first.End, first.Sentence)
		}
		t.Logf("%s: told again after %s", way.name, time.Since(since).Round(time.Second))
	}
	log, err := os.ReadFile(a.Log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "A service goes on from what is known of it.") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	// Who says that it was expected does not hear of it any more.
	said := time.Now()
	expect(t, a, first.ID)
	if x, ok := anomalyAfter(t, a, w.Server.PID(), said.Add(-10*time.Second), 5*time.Second, "cleared"); !ok || x.ID != first.ID {
		t.Errorf("it is not cleared: %+v", x)
	}
	if x, ok := raisedAfter(t, a, w.Server.PID(), said, again); ok {
		t.Errorf("what was expected is told: %s", x.Sentence)
	}
}

// expect says on the page that an anomaly was expected.
func expect(t *testing.T, a *agent.Agent, id string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(a.Page(), "/")+"/service/redis/expected", strings.NewReader("anomaly="+id))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		t.Errorf("the page answers %s", answer.Status)
	}
}

// TestTwentyRestarts restarts a service twenty times: it has one past, each of its
// processes goes on from it, and nothing is told.
func TestTwentyRestarts(t *testing.T) {
	needRoot(t)
	w := startRedis(t)
	a, err := agent.Start(t.Context(), agent.Config{Binary: binary, File: config, Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop() }()
	time.Sleep(55 * time.Second)
	// Other tests may run a redis of their own beside this one.
	own := map[int]bool{w.Server.PID(): true}
	for range 20 {
		if err := w.Server.Restart(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		own[w.Server.PID()] = true
		time.Sleep(4 * time.Second)
	}
	time.Sleep(16 * time.Second)
	log, err := os.ReadFile(a.Log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "A service goes on from what is known of it."); n < 20 {
		t.Errorf("%d processes went on from the past, want 20:\n%s", n, log)
	}
	// The last process is judged, though it is seconds old.
	last := overview(t, a, w.Server.PID())
	if !last.Judged {
		t.Errorf("the last hop of the last process is not judged: %+v", last)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = agent.Follow(ctx, a.AnomalyFile, func(x agent.Anomaly) {
		if x.Warn && own[x.PID] {
			t.Errorf("told: %s", x.Sentence)
		}
	})
}

// overview is the last hop of a process, as the page has it.
func overview(t *testing.T, a *agent.Agent, pid int) evidence.Hop {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(a.Page(), "/")+"/api/overview", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all struct{ Services []evidence.Service }
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all.Services, func(s evidence.Service) bool { return s.PID == int64(pid) })
	if i < 0 || all.Services[i].Last() == nil {
		t.Fatalf("no hop of process %d: %+v", pid, all.Services)
	}
	return *all.Services[i].Last()
}
