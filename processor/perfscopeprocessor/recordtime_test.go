package perfscopeprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
)

// byRecords has a logs pipeline whose engine runs by the time of its records,
// and notes when each anomaly is told.
func byRecords(t *testing.T) (p *pipelines, told func() []time.Time) {
	t.Helper()
	var clock RecordTime
	p = newPipelines(t, func() analyzer {
		return &scripted{at: map[int64]inference.Anomaly{epoch + 10*sec: anomalyAt(epoch + 5*sec)}}
	}, nil)
	ofTest := p.sharing.prepare
	WithRecordTime(&clock)(p.sharing)
	ofReplay := p.sharing.prepare
	p.sharing.prepare = func(e *engine) {
		ofTest(e)
		ofReplay(e)
		e.ticks = nil
	}
	p.setClock(epoch + 3600*sec) // it is from the past
	var at []time.Time
	notes, err := consumer.NewLogs(func(context.Context, plog.Logs) error {
		at = append(at, clock.Now())
		return nil
	})
	require.NoError(t, err)
	p.logs.sink.Next = apart(notes, p.cleared)
	p.start(t)
	return p, func() []time.Time {
		p.stop(t)
		return at
	}
}

func (p *pipelines) record(t *testing.T, service string, start int64) {
	t.Helper()
	require.NoError(t, p.logs.ConsumeLogs(ctx, secondOf(service, 100, start)))
}

func after(seconds int64) time.Time { return time.Unix(0, epoch+seconds*sec) }

func TestRecordTimeTellsAnAnomalyWhenACollectorWould(t *testing.T) {
	p, told := byRecords(t)
	for s := range int64(20) {
		p.record(t, "redis", epoch+s*sec)
	}
	// The hop ends at 10 s, and closes a flush of a second and the stragglers
	// later.
	assert.Equal(t, []time.Time{after(12)}, told())
}

func TestRecordTimeClosesIdleHops(t *testing.T) {
	p, told := byRecords(t)
	for s := range int64(30) {
		if s < 8 {
			p.record(t, "redis", epoch+s*sec)
		}
		p.record(t, "nginx", epoch+s*sec)
	}
	// Redis fell silent within its hop, and more than a hop had to pass.
	assert.Equal(t, []time.Time{after(12), after(14)}, told())
}

// Between two records the clock stops for a tick each second, as it would
// have gone: what fell silent is judged before it is forgotten.
func TestRecordTimeGoesThroughGaps(t *testing.T) {
	p, told := byRecords(t)
	for s := range int64(8) {
		p.record(t, "redis", epoch+s*sec)
	}
	p.record(t, "redis", epoch+1800*sec)
	at := told()
	require.Len(t, at, 1)
	assert.WithinDuration(t, after(14), at[0], 2*time.Second)
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_services_evicted", "reason", "idle"), "the gap is longer than the window")
}

func TestRecordTimeNeedsNoTicker(t *testing.T) {
	var clock RecordTime
	f := NewFactory(WithRecordTime(&clock))
	logs, err := f.CreateLogs(ctx, newPipelines(t, nil, nil).set, f.CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, logs.Start(ctx, componenttest.NewNopHost()))
	assert.Nil(t, logs.(*logsHandle).engine.ticks)
	require.NoError(t, logs.ConsumeLogs(ctx, secondOf("redis", 100, epoch)))
	require.NoError(t, logs.Shutdown(ctx))
	assert.Equal(t, after(1), clock.Now())
}
