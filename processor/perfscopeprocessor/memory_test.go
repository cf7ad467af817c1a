package perfscopeprocessor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// storing is a storage that takes transactions, too.
type storing struct{ memory }

func (m *storing) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return &storingClient{memoryClient{&m.memory}}, nil
}

type storingClient struct{ memoryClient }

func (m *storingClient) Batch(ctx context.Context, operations ...*storage.Operation) error {
	for _, o := range operations {
		if o.Type == storage.Set {
			if err := m.Set(ctx, o.Key, o.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// recalling finds what a test tells it to, and has a real memory.
type recalling struct {
	scripted
	own      *inference.Analyzer
	instance string
	program  string
	from     *inference.Memory
	release  *inference.Release
	succeeds bool
	expected []string
}

func (r *recalling) AddBatch(b *threadtrace.Batch)      { r.own.AddBatch(b) }
func (r *recalling) AddCoverage(c threadtrace.Coverage) { r.own.AddCoverage(c) }
func (r *recalling) Memory() *inference.Memory          { return r.own.Memory() }
func (r *recalling) Adopt(m *inference.Memory)          { r.own.Adopt(m) }
func (r *recalling) Learned() int                       { return r.own.Learned() }
func (r *recalling) Succeed()                           { r.succeeds = true }

func (r *recalling) InRole(string) {}

func (r *recalling) Follow(instance, program string, began int64) {
	r.instance, r.program = instance, program
	r.own.Follow(instance, program, began)
}

func (r *recalling) Recall(m *inference.Memory) bool {
	r.from = m
	return r.own.Recall(m)
}

func (r *recalling) Advance(now int64) []inference.Anomaly {
	r.own.Advance(now)
	return r.scripted.Advance(now)
}

func (r *recalling) Release() (inference.Release, bool) {
	if r.release == nil || !r.succeeds {
		return inference.Release{}, false
	}
	out := *r.release
	r.release = nil
	return out, true
}

func (r *recalling) Expect(which func(instance, id string) bool) (over *inference.Anomaly, known bool) {
	if !which(r.instance, "2a") {
		return nil, false
	}
	r.expected = append(r.expected, "2a")
	a := anomalyAt(epoch+50*sec).Clear(epoch+55*sec, epoch+60*sec, inference.EndExpected)
	return &a, true
}

// counting has learned a number of hops and counts how often its memory is asked for.
type counting struct {
	recalling
	learned int
	asked   []int64
	now     int64
}

func (c *counting) Learned() int { return c.learned }

func (c *counting) Memory() *inference.Memory {
	c.asked = append(c.asked, c.now)
	return nil
}

// TestMemoryIsWrittenInTurns: often while the past grows, seldom from then on, and not of
// all services at once.
func TestMemoryIsWrittenInTurns(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	e := &engine{cfg: cfg}
	live := func(key string, learned int, dirtyAt int64) []int64 {
		c := &counting{learned: learned}
		s := &service{key: key, analyzer: c, lasting: lasting{turn: turnOf(key)}}
		for c.now = epoch; c.now < epoch+3600*sec; c.now += 5 * sec {
			s.lasting.dirty = c.now == dirtyAt
			e.keepDue(s, c.now)
		}
		return c.asked
	}
	whole := int(cfg.Window / cfg.Hop)
	assert.InDelta(t, 60, len(live("a", whole-1, 0)), 1, "once a minute")
	assert.InDelta(t, 6, len(live("a", whole, 0)), 1, "every ten minutes")
	assert.Contains(t, live("a", whole, epoch+25*sec), epoch+25*sec, "at once")
	at := map[int64]int{}
	for i := range 120 {
		for _, moment := range live(fmt.Sprint("service ", i), whole, 0) {
			at[moment]++
		}
	}
	for moment, n := range at {
		assert.LessOrEqual(t, n, 10, "%d services at %d s", n, (moment-epoch)/sec)
	}
}

// minute has a processor watch a service for a minute, with an anomaly in its last hop.
func minute(t *testing.T, on *storing, build string, from int64, adjust func(*Config, *recalling)) (*pipelines, *recalling) {
	t.Helper()
	return minuteOf(t, on, from, adjust, map[string]string{
		"process.executable.build_id.go": build, "process.executable.path": "/srv/orders-1." + build,
	})
}

// minuteOf is minute of a service whose resource has some attributes.
func minuteOf(t *testing.T, on *storing, from int64, adjust func(*Config, *recalling), resource map[string]string) (*pipelines, *recalling) {
	t.Helper()
	r := &recalling{own: inference.NewAnalyzer(inference.DefaultConfig(), "amd64")}
	r.at = map[int64]inference.Anomaly{epoch + 55*sec: anomalyAt(epoch + 50*sec)}
	p := newPipelines(t, func() analyzer { return r }, func(c *Config) {
		c.Memory.Storage = &fileStorage
		if adjust != nil {
			adjust(c, r)
		}
	})
	require.NoError(t, p.logs.Start(context.Background(), &extended{extensions: map[component.ID]component.Component{fileStorage: on}}))
	for i := range int64(60) {
		p.setClock(from + (i+1)*sec)
		ld := secondOf("orders", 7, from+i*sec)
		attrs := ld.ResourceLogs().At(0).Resource().Attributes()
		for k, v := range resource {
			attrs.PutStr(k, v)
		}
		attrs.PutStr("process.creation.time", time.Unix(0, from-3600*sec).UTC().Format(time.RFC3339Nano))
		require.NoError(t, p.logs.ConsumeLogs(context.Background(), ld))
	}
	p.sync(t)
	return p, r
}

func end(t *testing.T, p *pipelines) { require.NoError(t, p.logs.Shutdown(context.Background())) }

func TestWhatIsKnownOutlivesTheProcessor(t *testing.T) {
	on := &storing{memory{held: map[string][]byte{}}}
	p, r := minute(t, on, "aa", epoch, nil)
	assert.Nil(t, r.from, "nothing is known yet")
	assert.Equal(t, "orders-1.aa", r.program)
	end(t, p)
	require.Len(t, on.held, 2, "the memory, and the index")

	p, r = minute(t, on, "aa", epoch+3600*sec, nil)
	require.NotNil(t, r.from)
	assert.Positive(t, r.from.Hops())
	assert.False(t, r.succeeds, "the same build")
	assert.Greater(t, r.own.Learned(), r.from.Hops())
	end(t, p)

	p, r = minute(t, on, "bb", epoch+7200*sec, func(_ *Config, r *recalling) {
		x := inference.Release{Verdict: inference.VerdictDearer}
		x.Unit, x.Dearer = "read", []inference.ReleaseFunction{{Suspect: inference.Suspect{Function: "lookup"}}}
		r.release = &x
	})
	require.NotNil(t, r.from)
	assert.True(t, r.succeeds)
	end(t, p)
	var told []string
	for _, ld := range p.outLogs.AllLogs() {
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		if rec.EventName() == anomalylog.ReleaseEvent {
			v, _ := rec.Attributes().Get(anomalylog.AttrReleaseBefore)
			told = append(told, v.Str()+" "+rec.Body().AsString())
			name, _ := ld.ResourceLogs().At(0).Resource().Attributes().Get("service.name")
			assert.Equal(t, "orders", name.Str())
		}
	}
	assert.Equal(t, []string{"aa orders: with release bb a read costs 0 µs of CPU, was 0 µs; lookup is dearer: 0 µs, was 0 µs."}, told)
}

func TestAnotherImageOfAnInterpretedServiceIsARelease(t *testing.T) {
	on := &storing{memory{held: map[string][]byte{}}}
	from := int64(epoch)
	watch := func(image string) *recalling {
		p, r := minuteOf(t, on, from, nil, map[string]string{
			"process.executable.build_id.gnu": "node", "process.executable.path": "/usr/bin/node", "container.image.id": image,
		})
		end(t, p)
		from += 3600 * sec
		return r
	}
	assert.Nil(t, watch("sha256:aa").from)
	r := watch("sha256:aa")
	assert.NotNil(t, r.from)
	assert.False(t, r.succeeds, "the same image")
	r = watch("sha256:bb")
	assert.NotNil(t, r.from)
	assert.True(t, r.succeeds, "another image with the interpreter of before")
	r = watch("")
	assert.NotNil(t, r.from)
	assert.False(t, r.succeeds, "the image is not known yet")
}

// Two builds of a service run beside each other: one instance after the other is replaced.
func TestABuildIsComparedWithTheOneThatRunsBesideIt(t *testing.T) {
	var analyzers []*recalling
	p := newPipelines(t, func() analyzer {
		r := &recalling{own: inference.NewAnalyzer(inference.DefaultConfig(), "amd64")}
		if len(analyzers) > 0 {
			r.release = &inference.Release{Verdict: inference.VerdictNoChange}
		}
		analyzers = append(analyzers, r)
		return r
	}, nil)
	require.NoError(t, p.logs.Start(context.Background(), p.host))
	for i := range int64(120) {
		p.setClock(epoch + (i+1)*sec)
		for pid, build := range map[int64]string{7: "aa", 8: "bb"} {
			if build == "bb" && i < 60 {
				continue // it is not installed yet
			}
			ld := secondOf("orders", pid, epoch+i*sec)
			attrs := ld.ResourceLogs().At(0).Resource().Attributes()
			attrs.PutStr("service.instance.id", build)
			attrs.PutStr("process.executable.build_id.go", build)
			require.NoError(t, p.logs.ConsumeLogs(context.Background(), ld))
		}
	}
	p.sync(t)
	end(t, p)
	require.Len(t, analyzers, 2)
	old, next := analyzers[0], analyzers[1]
	assert.Nil(t, old.from)
	assert.False(t, old.succeeds)
	require.NotNil(t, next.from, "of the one that runs, of which nothing is written")
	assert.True(t, next.succeeds)
	assert.Greater(t, old.own.Learned(), 20, "it goes on")
	told := 0
	for _, ld := range p.outLogs.AllLogs() {
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		if rec.EventName() != anomalylog.ReleaseEvent {
			continue
		}
		told++
		before, _ := rec.Attributes().Get(anomalylog.AttrReleaseBefore)
		assert.Equal(t, "aa", before.Str())
		of, _ := ld.ResourceLogs().At(0).Resource().Attributes().Get("service.instance.id")
		assert.Equal(t, "bb", of.Str())
	}
	assert.Equal(t, 1, told)
}

func TestWhoseMemoryAResourcesIs(t *testing.T) {
	attrs := func(of map[string]any) pcommon.Map {
		m := pcommon.NewMap()
		require.NoError(t, m.FromRaw(of))
		return m
	}
	for _, c := range []struct {
		name     string
		resource map[string]any
		want     memories.Of
	}{
		{"an id is exact", map[string]any{"container.image.id": "sha256:aa", "container.image.name": "shop/orders"}, memories.Of{Image: "sha256:aa"}},
		{"so is a digest", map[string]any{"container.image.repo_digests": []any{"shop/orders@sha256:cc"}}, memories.Of{Image: "shop/orders@sha256:cc"}},
		{"else its name with its tag", map[string]any{"container.image.name": "shop/orders", "container.image.tags": []any{"1.4"}}, memories.Of{Image: "shop/orders:1.4"}},
		{"as k8sattributes wrote it for long", map[string]any{"container.image.name": "shop/orders", "container.image.tag": "1.3"}, memories.Of{Image: "shop/orders:1.3"}},
		{"a list without an entry", map[string]any{"container.image.repo_digests": []any{}}, memories.Of{}},
		{"a name alone", map[string]any{"container.image.name": "shop/orders"}, memories.Of{Image: "shop/orders"}},
		{"its role and environment", map[string]any{"perfscope.process.role": "5f1d09", "deployment.environment.name": "staging"}, memories.Of{Role: "5f1d09", Environment: "staging"}},
		{"the namespace of its pod", map[string]any{"k8s.namespace.name": "team-a"}, memories.Of{Namespace: "team-a"}},
	} {
		c.want.Name = "orders"
		assert.Equal(t, c.want, familyOf("orders", "", attrs(c.resource)), c.name)
	}
	assert.Equal(t, "shop", familyOf("orders", "shop", attrs(map[string]any{"k8s.namespace.name": "team-a"})).Namespace, "what the service says comes first")
}

func TestAnAnomalyIsSaidToBeExpected(t *testing.T) {
	on := &storing{memory{held: map[string][]byte{}}}
	file := filepath.Join(t.TempDir(), "expected")
	p, r := minute(t, on, "aa", epoch, func(c *Config, _ *recalling) { c.Memory.ExpectedFile = file })
	id := anomalyID(r.instance, "2a")
	require.ErrorIs(t, p.engine.Expect(context.Background(), "another"), evidence.ErrUnknown)
	require.NoError(t, p.engine.Expect(context.Background(), id))
	assert.Len(t, r.expected, 1)
	require.Len(t, p.cleared.AllLogs(), 1)
	ending, _ := p.cleared.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get(anomalylog.AttrEnding)
	assert.Equal(t, "expected", ending.Str())

	require.NoError(t, os.WriteFile(file, []byte(id+" the backup\n"), 0o600))
	p.setClock(epoch + 70*sec)
	p.sync(t)
	p.sync(t)
	assert.Len(t, r.expected, 2, "by the file")
	p.sync(t)
	assert.Len(t, r.expected, 2, "once")
	end(t, p)
}

func TestAStorageThatIsNotThereIsAnError(t *testing.T) {
	p := newPipelines(t, nil, func(c *Config) { c.Memory.Storage = &fileStorage })
	require.ErrorContains(t, p.logs.Start(context.Background(), &extended{}), `memory::storage: there is no storage extension "file_storage"`)
}
