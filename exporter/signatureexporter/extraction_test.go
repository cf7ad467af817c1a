package signatureexporter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/exporter/signatureexporter/internal/metadata"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

const arch = threadtrace.ArchAMD64

// turns are the records of a server that waits, reads, writes to its log by
// save, and answers.
func turns(t *testing.T, buildID string, n int) plog.Logs {
	t.Helper()
	frames := func(names ...string) (s threadtrace.Stack) {
		for _, name := range names {
			s.Frames = append(s.Frames, threadtrace.Frame{Function: name, Module: "server"})
		}
		return s
	}
	b := &threadtrace.Batch{ThreadID: 7, Stacks: []threadtrace.Stack{
		frames("loop", "main"), frames("receive", "loop", "main"), frames("save", "loop", "main"), frames("answer", "loop", "main"),
	}}
	do := func(name string, stack uint32) {
		number, ok := threadtrace.Number(arch, name)
		require.True(t, ok)
		b.Events = append(b.Events, threadtrace.Event{Time: 1e18 + int64(len(b.Events))*1000, Duration: 500, Number: number, Return: 1, Stack: stack})
	}
	for i := range n {
		do("epoll_wait", 1)
		do("recvfrom", 2)
		if i%2 == 0 {
			do("write", 3)
			do("fdatasync", 3)
		}
		do("sendto", 4)
	}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	attrs := rl.Resource().Attributes()
	attrs.PutStr("process.executable.path", "/usr/bin/server")
	attrs.PutStr("host.arch", arch)
	if buildID != "" {
		attrs.PutStr("process.executable.build_id.gnu", buildID)
	}
	tracelog.AppendBatch(rl.ScopeLogs().AppendEmpty().LogRecords(), tracelog.FormatPacked, arch, b)
	return ld
}

// extract runs an exporter over payloads and returns what it logged.
func extract(t *testing.T, dir string, payloads ...plog.Logs) *observer.ObservedLogs {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	set := exportertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.Directory, cfg.Load = dir, "a test"
	e, err := NewFactory().CreateLogs(context.Background(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background(), componenttest.NewNopHost()))
	for _, ld := range payloads {
		ld.MarkReadOnly()
		require.NoError(t, e.ConsumeLogs(context.Background(), ld))
	}
	require.NoError(t, e.Shutdown(context.Background()))
	return logged
}

func read(t *testing.T, path string) *signature.File {
	t.Helper()
	f, err := readFile(path)
	require.NoError(t, err)
	return f
}

func TestASignatureFileIsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	extract(t, dir, turns(t, "60f4", 500))
	f := read(t, filepath.Join(dir, "server-60f4.signatures"))
	assert.Equal(t, signature.Program{Executable: "/usr/bin/server", BuildIDKind: "gnu", BuildID: "60f4", Arch: arch}, f.Program)
	assert.Equal(t, "a test", f.Load)
	assert.EqualValues(t, 2000, f.Calls)
	got := map[string]string{}
	for _, fn := range f.Functions {
		got[fn.Name] = fn.Signatures[0].Episode.Text(arch)
	}
	assert.Equal(t, map[string]string{"receive": "recvfrom", "save": "write", "answer": "sendto"}, got)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left behind")
}

func TestAFileIsExtended(t *testing.T) {
	dir := t.TempDir()
	extract(t, dir, turns(t, "60f4", 500))
	path := filepath.Join(dir, "server-60f4.signatures")
	first := read(t, path)
	extract(t, dir, turns(t, "60f4", 500))
	second := read(t, path)
	assert.EqualValues(t, 2*first.Calls, second.Calls)
	assert.EqualValues(t, 2*first.Functions[0].Invocations, second.Functions[0].Invocations)
	// Another build has a file of its own.
	extract(t, dir, turns(t, "beef", 500))
	assert.Equal(t, second, read(t, path))
	assert.EqualValues(t, 2000, read(t, filepath.Join(dir, "server-beef.signatures")).Calls)
}

func TestADamagedFileIsSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "server-60f4.signatures")
	require.NoError(t, os.WriteFile(path, []byte("perfscope-signatures 1\nexecutable"), 0o600))
	logged := extract(t, dir, turns(t, "60f4", 500))
	assert.Len(t, read(t, path).Functions, 3)
	was, err := os.ReadFile(path + ".unusable")
	require.NoError(t, err)
	assert.Equal(t, "perfscope-signatures 1\nexecutable", string(was))
	assert.Equal(t, 1, logged.FilterMessageSnippet("can't be used").Len())
}

func TestProgramsThatCannotBeMined(t *testing.T) {
	dir := t.TempDir()
	logged := extract(t, dir, turns(t, "", 10), turns(t, "", 10))
	assert.Equal(t, 1, logged.FilterMessageSnippet("has no build id").Len(), "it is said once")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestProgressIsTold(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	set := componenttest.NewNopTelemetrySettings()
	set.Logger = zap.New(core)
	dir := t.TempDir()
	e, err := newExtraction(&Config{Directory: dir, Interval: time.Millisecond, MaxPrograms: 1}, set)
	require.NoError(t, err)
	require.NoError(t, e.start(context.Background(), componenttest.NewNopHost()))
	require.NoError(t, e.consume(context.Background(), turns(t, "60f4", 500)))
	require.NoError(t, e.consume(context.Background(), turns(t, "beef", 500)))
	require.Eventually(t, func() bool { return logged.FilterMessage("Signatures so far.").Len() > 0 }, 10*time.Second, time.Millisecond)
	said := logged.FilterMessage("Signatures so far.").All()[0].ContextMap()
	assert.EqualValues(t, 3, said["functions"])
	assert.EqualValues(t, 2000, said["calls"])
	require.NoError(t, e.shutdown(context.Background()))
	assert.Equal(t, 1, logged.FilterMessageSnippet("More programs than max_programs").Len())
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(inTheWay, nil, 0o600))
	e, err := newExtraction(&Config{Directory: filepath.Join(inTheWay, "below"), Interval: time.Hour, MaxPrograms: 1}, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	// It is said at once, not after an hour under a test load.
	require.ErrorContains(t, e.start(context.Background(), componenttest.NewNopHost()), "cannot be written to")
	require.NoError(t, e.consume(context.Background(), turns(t, "60f4", 500)))
	assert.Error(t, e.write())
	// It is tried again, when it can be written.
	e.programs[0].path = filepath.Join(dir, "server.signatures")
	assert.NoError(t, e.write())
	assert.Len(t, read(t, e.programs[0].path).Functions, 3)
	require.NoError(t, e.shutdown(context.Background()))
}

func TestRecordsThatCannotBeReadAreLeftOut(t *testing.T) {
	ld := turns(t, "60f4", 500)
	rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	rec.SetEventName(tracelog.EventBatch)
	rec.Body().SetStr("no bytes")
	dir := t.TempDir()
	logged := extract(t, dir, ld)
	assert.Len(t, read(t, filepath.Join(dir, "server-60f4.signatures")).Functions, 3)
	assert.Equal(t, 1, logged.FilterMessageSnippet("could not be read").Len())
}

func TestTheConfigurationOfTheExtractionHasADefaultDirectory(t *testing.T) {
	data, err := os.ReadFile("../../config/extract.yaml")
	require.NoError(t, err)
	assert.True(t, strings.Contains(string(data), createDefaultConfig().(*Config).Directory))
}
