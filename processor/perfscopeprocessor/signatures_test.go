package perfscopeprocessor

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

const build = "60f4"

// saver is a server that answers fifty requests a second; it saves one in
// saves of them, which takes it that many milliseconds.
type saver struct {
	build          string
	saves          int
	waits          int64
	stacks         bool
	requests, seen int
}

func (s *saver) second(t *testing.T, start int64) plog.Logs {
	t.Helper()
	frames := func(names ...string) (st threadtrace.Stack) {
		for _, name := range names {
			st.Frames = append(st.Frames, threadtrace.Frame{Function: name, Module: "server"})
		}
		return st
	}
	b := &threadtrace.Batch{ThreadID: 100, Stacks: []threadtrace.Stack{
		frames("loop", "main"), frames("receive", "loop", "main"), frames("save", "loop", "main"), frames("answer", "loop", "main"),
	}}
	do := func(name string, at, took int64, stack uint32) {
		number, ok := threadtrace.Number("amd64", name)
		require.True(t, ok)
		e := threadtrace.Event{Time: at, Duration: took, Number: number, Return: 100}
		s.seen++
		if s.stacks && s.seen%3 == 0 { // a sample
			e.Stack = stack
		}
		b.Events = append(b.Events, e)
	}
	for at := start; at < start+sec; at += sec / 50 {
		s.requests++
		do("recvfrom", at, 10e3, 2)
		next := at + 50e3
		if s.requests%s.saves == 0 {
			do("write", next, 20e3, 3)
			do("fdatasync", next+30e3, s.waits, 3)
			next += 50e3 + s.waits
		}
		do("sendto", next, 20e3, 4)
		do("epoll_wait", next+30e3, at+sec/50-next-40e3, 1)
	}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	attrs := rl.Resource().Attributes()
	resource(attrs, "orders", 100)
	attrs.PutStr("process.executable.path", "/usr/bin/server")
	attrs.PutStr("process.executable.build_id.gnu", s.build)
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", b)
	tracelog.AppendCoverage(recs, &threadtrace.Coverage{Start: start, End: start + sec, Traced: 1e9, CPUTime: 30e6, Threads: 1})
	return ld
}

// live delivers some seconds.
func (s *saver) live(t *testing.T, p *pipelines, from int64, seconds int) int64 {
	t.Helper()
	for end := from + int64(seconds)*sec; from < end; from += sec {
		p.setClock(from + sec)
		require.NoError(t, p.logs.ConsumeLogs(context.Background(), s.second(t, from)))
	}
	return from
}

// suspectOf runs a server that saves now and then, and then every request, and
// gives the function that is told first with the evidence for it.
func suspectOf(t *testing.T, p *pipelines) (function string, evidence []any) {
	t.Helper()
	s := saver{build: build, saves: 10, waits: 1e6}
	at := s.live(t, p, epoch, 60)
	s.saves, s.waits = 1, 12e6
	s.live(t, p, at, 20)
	p.stop(t)
	require.NotEmpty(t, p.outLogs.AllLogs(), "nothing was found")
	rec := p.outLogs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	suspects, ok := rec.Attributes().Get(anomalylog.AttrSuspects)
	if !ok {
		return "", nil
	}
	first := suspects.Slice().At(0).Map().AsRaw()
	return first["code.function.name"].(string), first[anomalylog.AttrEvidence].([]any)
}

// mined is what an extraction under the same load gives.
func mined(t *testing.T, buildID string) *signature.File {
	t.Helper()
	m := signature.NewMiner("amd64", signature.Sequences)
	s := saver{build: buildID, saves: 3, waits: 1e6, stacks: true}
	for i := range int64(20) {
		ld := s.second(t, epoch+i*sec)
		errs := tracelog.Decode(ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords(), tracelog.Handler{
			Batch: func(_ string, b *threadtrace.Batch) { m.Add(b) },
		})
		require.Empty(t, errs)
	}
	m.Finish()
	return m.Mine(&signature.File{Program: signature.Program{Executable: "/usr/bin/server", BuildIDKind: "gnu", BuildID: buildID, Arch: "amd64"}})
}

func writeSignatures(t *testing.T, dir string, f *signature.File) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, f.FileName()))
	require.NoError(t, err)
	require.NoError(t, f.Write(file))
	require.NoError(t, file.Close())
}

// withSignatures are pipelines that read the files of a directory.
func withSignatures(t *testing.T, dir string) (*pipelines, *observer.ObservedLogs) {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	p := newPipelines(t, nil, func(c *Config) { c.Signatures.Files = []string{filepath.Join(dir, "*.signatures")} })
	p.logs.set.Logger = zap.New(core)
	p.start(t)
	return p, logged
}

func TestSignaturesNameTheFunction(t *testing.T) {
	dir := t.TempDir()
	writeSignatures(t, dir, mined(t, build))
	// A damaged file beside it costs nothing but itself.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "damaged.signatures"), []byte("perfscope-signatures 1\narch"), 0o600))
	p, logged := withSignatures(t, dir)
	function, evidence := suspectOf(t, p)
	assert.Equal(t, "save", function)
	assert.Equal(t, []any{"signature"}, evidence)
	assert.Equal(t, 1, logged.FilterMessageSnippet("can't be read").Len())
	assert.Equal(t, 1, logged.FilterMessage("Signatures were loaded.").Len())
	named, err := p.tel.GetMetric("otelcol_processor_perfscope_calls_named")
	require.NoError(t, err)
	assert.NotNil(t, named)
}

func TestSignaturesOfAnotherBuildAreRefused(t *testing.T) {
	dir := t.TempDir()
	writeSignatures(t, dir, mined(t, "beef"))
	p, logged := withSignatures(t, dir)
	function, _ := suspectOf(t, p)
	assert.Empty(t, function)
	refused := logged.FilterMessageSnippet("of another build").All()
	require.Len(t, refused, 1, "it is said once")
	assert.Contains(t, refused[0].ContextMap()["error"], `runs as build gnu "60f4": extract`)
}

// memory is a storage extension that outlives collectors.
type memory struct {
	component.StartFunc
	component.ShutdownFunc
	mu     sync.Mutex
	held   map[string][]byte
	closed int
}

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return &memoryClient{m}, nil
}

type memoryClient struct{ *memory }

func (m *memoryClient) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held[key], nil
}

func (m *memoryClient) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[key] = value
	return nil
}
func (m *memoryClient) Delete(context.Context, string) error               { return nil }
func (m *memoryClient) Batch(context.Context, ...*storage.Operation) error { return nil }
func (m *memoryClient) Close(context.Context) error                        { m.closed++; return nil }

// extended is a host with a storage extension.
type extended struct {
	statusHost
	extensions map[component.ID]component.Component
}

func (h *extended) GetExtensions() map[component.ID]component.Component { return h.extensions }

var fileStorage = component.MustNewID("file_storage")

func learning60f4(t *testing.T, host component.Host) *pipelines {
	t.Helper()
	p := newPipelines(t, nil, func(c *Config) { c.Signatures.Learn, c.Signatures.Storage = true, &fileStorage })
	require.NoError(t, p.logs.Start(context.Background(), host))
	require.NoError(t, p.traces.Start(context.Background(), host))
	return p
}

func TestWhatIsLearnedOutlivesTheCollector(t *testing.T) {
	store := &memory{held: map[string][]byte{}}
	host := &extended{extensions: map[component.ID]component.Component{fileStorage: store}}
	first := learning60f4(t, host)
	s := saver{build: build, saves: 10, waits: 1e6, stacks: true}
	s.live(t, first, epoch, 150)
	first.stop(t)
	assert.Equal(t, 1, store.closed)
	require.Contains(t, store.held, "server-60f4.signatures")

	// In its second life no call has a stack.
	function, evidence := suspectOf(t, learning60f4(t, host))
	assert.Equal(t, "save", function)
	assert.Equal(t, []any{"signature"}, evidence)

	// What is damaged is learned anew.
	store.held["server-60f4.signatures"] = []byte("damaged")
	function, _ = suspectOf(t, learning60f4(t, host))
	assert.Empty(t, function)
}

func TestLearningNeedsItsStorage(t *testing.T) {
	p := newPipelines(t, nil, func(c *Config) { c.Signatures.Learn, c.Signatures.Storage = true, &fileStorage })
	err := p.logs.Start(context.Background(), p.host)
	assert.ErrorContains(t, err, `there is no storage extension "file_storage"`)
}
