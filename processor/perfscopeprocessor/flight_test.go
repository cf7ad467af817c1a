package perfscopeprocessor

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/flightrecorder"
	"github.com/perfscope/perfscope/pkg/inference"
)

// TestWhatLedToAnAnomalyStaysRecorded while it lasts, each service by itself, and goes on
// when it is over.
func TestWhatLedToAnAnomalyStaysRecorded(t *testing.T) {
	const over = 200
	raised := anomalyAt(epoch + 5*sec)
	cleared := raised.Clear(epoch+over*sec, epoch+over*sec, inference.EndRecovered)
	p := newPipelines(t, func() analyzer {
		return &scripted{at: map[int64]inference.Anomaly{epoch + 10*sec: raised, epoch + over*sec: cleared}}
	}, func(c *Config) { c.FlightRecorder.MaxBytes = 1 << 20 }).start(t)
	recorded := func() (from, to int64) {
		t.Helper()
		p.sync(t)
		shown, err := p.engine.Services(ctx)
		require.NoError(t, err)
		require.Len(t, shown, 1)
		d, err := p.engine.Detail(ctx, shown[0].ID)
		require.NoError(t, err)
		require.NotNil(t, d.Recording)
		return d.Recording.From.Unix() - epoch/sec, d.Recording.To.Unix() - epoch/sec
	}
	for s := range int64(150) {
		p.second(t, "redis", epoch+s*sec)
		p.sync(t)
	}
	from, to := recorded()
	assert.Equal(t, int64(1), from, "what was before it")
	assert.InDelta(t, 10+recordedAfter.Seconds(), to, 5, "a minute of it")
	assert.Positive(t, counter(t, p, "otelcol_processor_perfscope_flight_recorder_bytes", "", ""))
	for s := int64(150); s < over+20; s++ {
		p.second(t, "redis", epoch+s*sec)
		p.sync(t)
	}
	_, to = recorded()
	assert.Equal(t, int64(over+20), to, "it goes on")
	p.stop(t)
}

// TestOnlySyscallRecordsAreRecorded: what comes in the same payload is left out, and a
// payload of two services is two recordings.
func TestOnlySyscallRecordsAreRecorded(t *testing.T) {
	p := newPipelines(t, nil, func(c *Config) { c.FlightRecorder.MaxBytes = 1 << 20 }).start(t)
	ld := secondOf("redis", 100, epoch)
	secret := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	secret.Body().SetStr("a log line of somebody else")
	secondOf("nginx", 200, epoch).ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	before := ld.LogRecordCount()
	p.setClock(epoch + sec)
	require.NoError(t, p.logs.ConsumeLogs(ctx, ld))
	assert.Equal(t, before, ld.LogRecordCount(), "the payload is left as it is")
	p.sync(t)
	shown, err := p.engine.Services(ctx)
	require.NoError(t, err)
	require.Len(t, shown, 2)
	for i := range shown {
		assert.Equal(t, []string{shown[i].Name}, recordedNames(t, p, &shown[i]))
	}
	p.stop(t)
}

// recordedNames are whose records a recording has, each once a message.
func recordedNames(t *testing.T, p *pipelines, s *evidence.Service) (names []string) {
	t.Helper()
	d, err := p.engine.Detail(ctx, s.ID)
	require.NoError(t, err)
	require.NotNil(t, d.Recording)
	for _, data := range messagesOf(t, d.Recording) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "somebody else")
		for _, rl := range ld.ResourceLogs().All() {
			name, _ := rl.Resource().Attributes().Get("service.name")
			names = append(names, name.AsString())
		}
	}
	return names
}

// TestNothingIsRecordedByDefault.
func TestNothingIsRecordedByDefault(t *testing.T) {
	p := newPipelines(t, nil, nil).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	shown, err := p.engine.Services(ctx)
	require.NoError(t, err)
	d, err := p.engine.Detail(ctx, shown[0].ID)
	require.NoError(t, err)
	assert.Nil(t, d.Recording)
	assert.Zero(t, p.engine.flight.bytes())
	p.stop(t)
}

// messagesOf takes a recording apart.
func messagesOf(t *testing.T, r *flightrecorder.Recording) (list [][]byte) {
	t.Helper()
	var file bytes.Buffer
	_, err := r.WriteTo(&file)
	require.NoError(t, err)
	d, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer d.Close()
	for file.Len() > 0 {
		plain, err := d.DecodeAll(file.Next(int(binary.BigEndian.Uint32(file.Next(4)))), nil)
		require.NoError(t, err)
		list = append(list, plain)
	}
	return list
}
