package perfscopeprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// states are the records of anomalies: their state, and how they ended.
func states(sinks ...*consumertest.LogsSink) (out []string) {
	for _, sink := range sinks {
		for _, ld := range sink.AllLogs() {
			for _, rl := range ld.ResourceLogs().All() {
				attrs := rl.ScopeLogs().At(0).LogRecords().At(0).Attributes()
				out = append(out, anomalylog.Text(attrs, anomalylog.AttrState)+anomalylog.Text(attrs, anomalylog.AttrEnding))
			}
		}
	}
	return out
}

func open(t *testing.T, p *pipelines) int64 {
	t.Helper()
	return counter(t, p, "otelcol_processor_perfscope_anomalies_open", "service.name", "redis")
}

// TestLifeOfAnAnomaly: one is raised, updated and cleared, with one id.
func TestLifeOfAnAnomaly(t *testing.T) {
	raised, updated := anomalyAt(epoch+5*sec), anomalyAt(epoch+10*sec)
	updated.State, updated.Onset, updated.Lost = inference.StateUpdated, raised.Onset, 6.2
	cleared := updated.Clear(epoch+15*sec, epoch+25*sec, inference.EndRecovered)
	p := newPipelines(t, func() analyzer {
		return &scripted{at: map[int64]inference.Anomaly{epoch + 10*sec: raised, epoch + 15*sec: updated, epoch + 25*sec: cleared}}
	}, nil).start(t)
	for s := range int64(30) {
		p.second(t, "redis", epoch+s*sec)
		if s == 20 {
			p.sync(t)
			assert.Equal(t, int64(1), open(t, p))
		}
	}
	p.sync(t)
	assert.Zero(t, open(t, p))
	assert.Equal(t, []string{"raised", "updated"}, states(p.outLogs))
	require.Equal(t, []string{"clearedrecovered"}, states(p.cleared))
	for _, state := range []string{"raised", "updated", "cleared"} {
		assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_anomalies", "state", state))
	}
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(p.cleared.AllLogs()[0])
	require.NoError(t, err)
	golden(t, "anomaly_cleared.json", text)
	p.stop(t)
	assert.Len(t, states(p.cleared), 1, "it is cleared once")
}

// TestAnomaliesEndWithTheirService: by its silence, by the end of the pipeline, by
// a defect, or by another anomaly.
func TestAnomaliesEndWithTheirService(t *testing.T) {
	deliver := func(p *pipelines, t *testing.T) {
		for s := range int64(13) {
			p.second(t, "redis", epoch+s*sec)
		}
		p.sync(t)
		require.Equal(t, []string{"raised"}, states(p.outLogs))
	}
	t.Run("silence", func(t *testing.T) {
		p := newPipelines(t, oneAnomaly, nil).start(t)
		deliver(p, t)
		for _, after := range []int64{8, 14, 60} {
			p.tick <- time.Unix(0, epoch+(13+after)*sec)
			p.sync(t)
			assert.Len(t, states(p.cleared), min(1, int(after/12)), "%d s", after)
		}
		assert.Equal(t, []string{"clearedunwatched"}, states(p.cleared))
		p.stop(t)
	})
	t.Run("shutdown", func(t *testing.T) {
		p := newPipelines(t, oneAnomaly, nil).start(t)
		deliver(p, t)
		p.stop(t)
		assert.Equal(t, []string{"clearedunwatched"}, states(p.cleared))
	})
	t.Run("a defect", func(t *testing.T) {
		a := oneAnomaly().(*scripted)
		p := newPipelines(t, func() analyzer { return a }, nil).start(t)
		deliver(p, t)
		a.panics = true
		p.second(t, "redis", epoch+13*sec)
		p.sync(t)
		assert.Equal(t, []string{"clearedunwatched"}, states(p.cleared))
		a.panics = false
		p.stop(t)
	})
	t.Run("another anomaly", func(t *testing.T) {
		other := anomalyAt(epoch + 10*sec)
		other.ID = "2b"
		p := newPipelines(t, func() analyzer {
			return &scripted{at: map[int64]inference.Anomaly{epoch + 10*sec: anomalyAt(epoch + 5*sec), epoch + 15*sec: other}}
		}, nil).start(t)
		for s := range int64(18) {
			p.second(t, "redis", epoch+s*sec)
		}
		p.sync(t)
		assert.Equal(t, []string{"raised", "raised"}, states(p.outLogs))
		assert.Equal(t, []string{"clearedrecovered"}, states(p.cleared))
		assert.Equal(t, int64(1), open(t, p))
		p.stop(t)
	})
}
