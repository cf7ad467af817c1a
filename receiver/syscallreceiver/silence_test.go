package syscallreceiver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/internal/process"
)

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	return zap.New(core), logs
}

func TestSilence(t *testing.T) {
	logger, logs := observed()
	start := time.Unix(1000, 0)
	near := func(rule, limit int) []process.Near {
		if rule != 1 {
			return nil
		}
		return []process.Near{{PID: 7, Name: "/usr/sbin/nginx", Why: `its executable is "nginx"`}}[:min(1, limit)]
	}
	s := newSilence([]process.Rule{{Executable: "redis-server"}, {Executable: "ngnix"}}, near, logger, start)
	var lines []time.Duration
	for at := time.Duration(0); at <= 3*time.Hour; at += 2 * time.Second {
		idle, err := s.look(start.Add(at), nil)
		assert.Equal(t, 2, idle)
		assert.Equal(t, at < silentAfter, err == nil, "at %s", at)
		for range logs.TakeAll() {
			lines = append(lines, at)
		}
	}
	// It grows: 30 s, 2.5 min, 10.5 min, 42.5 min, then once an hour.
	assert.Equal(t, []time.Duration{30 * time.Second, 150 * time.Second, 630 * time.Second, 2550 * time.Second, 6150 * time.Second, 9750 * time.Second}, lines)

	_, _ = s.look(start.Add(4*time.Hour), nil)
	told := logs.All()[0].ContextMap()
	assert.Equal(t, []any{"targets[0] executable: redis-server", "targets[1] executable: ngnix"}, told["rules"])
	assert.Equal(t, []any{`targets[1]: /usr/sbin/nginx (pid 7): its executable is "nginx"`}, told["closest"])
	logs.TakeAll()

	// One rule chooses: the other is told once, and what was is over.
	idle, err := s.look(start.Add(5*time.Hour), []*process.Process{{PID: 1, Rule: 0}})
	require.NoError(t, err)
	assert.Equal(t, 1, idle)
	_, _ = s.look(start.Add(6*time.Hour), []*process.Process{{PID: 1, Rule: 0}})
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, []any{"targets[1] executable: ngnix"}, logs.All()[0].ContextMap()["rules"])
}

// TestNoTargetIsAStatus: the receiver says so, and takes it back.
func TestNoTargetIsAStatus(t *testing.T) {
	host := &statusHost{}
	logger, logs := observed()
	n := &run{logger: logger, host: host, alone: newAlone(nil)}
	n.trouble(nil, nil)
	assert.Equal(t, componentstatus.StatusOK, host.last().Status())
	silent := errors.New("no process matches")
	n.trouble(nil, silent)
	assert.Equal(t, componentstatus.StatusRecoverableError, host.last().Status())
	require.ErrorContains(t, host.last().Err(), "no process matches")
	assert.Zero(t, logs.Len(), "it has a line of its own")
	n.trouble(nil, nil)
	assert.Equal(t, componentstatus.StatusOK, host.last().Status())
	// What cannot be read is not over with one good scan.
	n.trouble(errors.New("cannot be read"), nil)
	n.trouble(nil, nil)
	assert.Equal(t, componentstatus.StatusRecoverableError, host.last().Status())
	assert.Equal(t, 1, logs.Len())
}

func TestUnreadable(t *testing.T) {
	example := errors.New("readlink /proc/1/exe: permission denied")
	require.NoError(t, unreadable(0, nil, []string{"CAP_SYS_PTRACE"}))
	err := unreadable(3, example, []string{"CAP_SYS_PTRACE"})
	require.ErrorIs(t, err, example)
	require.ErrorContains(t, err, "3 cannot be read")
	require.ErrorContains(t, err, "grant CAP_SYS_PTRACE")
	err = unreadable(1, example, nil)
	assert.NotContains(t, err.Error(), "root", "root has all that can be granted")
	require.ErrorContains(t, err, "security module")
}

func TestNews(t *testing.T) {
	logger, logs := observed()
	n := &news{
		logger: logger, self: component.MustNewID("syscall"), rules: []process.Rule{{Executable: "redis-server"}},
		services: map[string]*instances{},
	}
	defer claims.end(n.self)
	of := func(pid, root int32) []*process.Process {
		return []*process.Process{{PID: pid, Root: root, ServiceName: "redis", Executable: "/usr/bin/redis-server"}}
	}
	now := time.Unix(1000, 0)
	n.take(now, of(900001, 900001), nil)
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, "executable: redis-server", logs.All()[0].ContextMap()["rule"])
	n.take(now, of(900002, 900001), nil) // a worker of it
	for range 5 {                        // restarts in a row are not told one by one
		n.take(now.Add(10*time.Second), nil, of(900001, 900001))
		n.take(now.Add(11*time.Second), of(900001, 900001), nil)
	}
	assert.Equal(t, 1, logs.Len())
	n.take(now.Add(2*time.Minute), nil, of(900001, 900001))
	require.Equal(t, 2, logs.Len())
	assert.Contains(t, logs.All()[1].Message, "lost")
	n.take(now.Add(4*time.Minute), of(900001, 900001), nil)
	require.Equal(t, 3, logs.Len())
	assert.EqualValues(t, 10, logs.All()[2].ContextMap()["not_told_since"])
}

// TestTwoReceiversOnOneService are each named to the other.
func TestTwoReceiversOnOneService(t *testing.T) {
	logger, logs := observed()
	var both []*news
	for i := range 2 {
		n := &news{
			logger: logger, self: component.MustNewIDWithName("syscall", fmt.Sprint("n", i)), rules: []process.Rule{{}},
			services: map[string]*instances{},
		}
		defer claims.end(n.self)
		both = append(both, n)
	}
	p := []*process.Process{{PID: 900010, Root: 900010, ServiceName: "redis", Executable: "/x"}}
	both[0].take(time.Unix(1, 0), p, nil)
	both[1].take(time.Unix(1, 0), p, nil)
	told := logs.FilterMessageSnippet("Two syscall receivers")
	require.Equal(t, 1, told.Len())
	assert.Equal(t, "syscall/n0", told.All()[0].ContextMap()["other"])
}

// TestDearRulesAreBounded: thousands of rules make scans rarer, not the host slow.
func TestDearRulesAreBounded(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	defer func() { require.NoError(t, f.Shutdown(context.Background())) }()
	logger, logs := observed()
	var cpu time.Duration
	s := &scout{
		finder: f.run.scout.finder, interval: 2 * time.Second, stats: f.run.gatherer.stats, logger: logger,
		silence: f.run.scout.silence, news: f.run.scout.news, now: f.run.scout.now,
		busy:  func() time.Duration { cpu += 300 * time.Millisecond; return cpu },
		found: func(int64, []*process.Process) {}, answer: func(int32, int64, *process.Process) {}, trouble: func(error, error) {},
	}
	f.run.stop()
	<-f.run.scouted
	assert.Equal(t, 6*time.Second, s.scan(), "300 ms of CPU time are 5 % of 6 s")
	s.scan()
	assert.Equal(t, 1, logs.FilterMessageSnippet("dear").Len(), "told once")
	s.busy = func() time.Duration { return 0 }
	assert.Equal(t, 2*time.Second, s.scan())
	// Of 40 forks a second whose looks take 10 ms each, those beyond 50 ms wait.
	second := int64(1e9)
	s.now = func() int64 { return second }
	cpu = 0
	s.busy = func() time.Duration { cpu += 5 * time.Millisecond; return cpu }
	for range 40 {
		s.look(notice{pid: 900020, kind: noticeFork})
	}
	assert.EqualValues(t, 30, s.stats.postponed.Load())
}
