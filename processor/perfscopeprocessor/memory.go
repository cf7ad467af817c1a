package perfscopeprocessor

import (
	"context"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/pkg/inference"
)

const (
	// keepYoung and keepEvery are how often, in the records' time, what is known of a
	// service is written, until its past is whole and from then on; and at once when an
	// anomaly is raised or over, and at the end. To write it takes as much CPU time as to
	// judge a minute of it.
	keepYoung, keepEvery = time.Minute, 10 * time.Minute
	// lookEvery is how often the file of expected anomalies is looked at.
	lookEvery = 5 * time.Second
	// maxExpected bounds the anomalies that were expected and are of no service that is
	// held.
	maxExpected = 1024
)

// remembering is what the engine needs of an analyzer to have its past last.
type remembering interface {
	Follow(instance, program string, began int64)
	InRole(role string)
	Memory() *inference.Memory
	Recall(*inference.Memory) bool
	Adopt(*inference.Memory)
	Learned() int
	Expect(which func(instance, id string) bool) (over *inference.Anomaly, known bool)
}

// lasting is what of a service outlives it.
type lasting struct {
	of memories.Of
	// program is the name of its program's file.
	program string
	// began is when its first process started, kept when it was last written;
	// nanoseconds since the epoch, in the records' time.
	began, kept int64
	// turn is its place within keepEvery, in nanoseconds.
	turn int64
	// before is the build that it is compared with, release what that came to.
	before  memories.Of
	release *inference.Release
	// dirty is set when it is to be written with the next hop.
	dirty bool
}

// familyOf says whose memory a resource's is.
func familyOf(name, namespace string, attrs pcommon.Map) memories.Of {
	text := func(keys ...string) string {
		for _, key := range keys {
			if v, ok := attrs.Get(key); ok && v.AsString() != "" {
				return cleantext.Clean(v.AsString(), cleantext.MaxName)
			}
		}
		return ""
	}
	if namespace == "" {
		namespace = text("k8s.namespace.name") // two teams of a cluster may have a service of one name
	}
	return memories.Of{
		Namespace: namespace, Name: name, Environment: text("deployment.environment.name", "deployment.environment"),
		Program: memories.ProgramOf(programName(attrs)), Version: text("service.version"), Build: buildOf(attrs),
		Image: cleantext.Clean(imageOf(attrs), cleantext.MaxName), Role: text("perfscope.process.role"),
	}
}

// imageOf is the container image of a resource as exactly as it is known: its id, else a
// digest, else its name with its tag.
func imageOf(attrs pcommon.Map) string {
	first := func(keys ...string) string {
		for _, key := range keys {
			v, ok := attrs.Get(key)
			if ok && v.Type() == pcommon.ValueTypeSlice && v.Slice().Len() > 0 {
				v = v.Slice().At(0)
			}
			if ok && v.AsString() != "" && v.Type() != pcommon.ValueTypeSlice {
				return v.AsString()
			}
		}
		return ""
	}
	if exact := first("container.image.id", "container.image.repo_digests"); exact != "" {
		return exact
	}
	name, tag := first("container.image.name"), first("container.image.tags", "container.image.tag")
	if name == "" || tag == "" {
		return name
	}
	return name + ":" + tag
}

// useMemory has what is known kept in a directory, or by an extension of the collector.
func (e *engine) useMemory(ctx context.Context, host component.Host, of component.ID) error {
	if directory := e.cfg.Memory.Directory; directory != "" {
		e.memories.Use(ctx, func(_ context.Context, name string) (storage.Client, error) {
			return memories.Files(filepath.Join(directory, name))
		})
	}
	if e.cfg.Memory.Storage == nil {
		return nil
	}
	id := *e.cfg.Memory.Storage
	extension, ok := host.GetExtensions()[id].(storage.Extension)
	if !ok {
		return fmt.Errorf("memory::storage: there is no storage extension %q; list one under service::extensions, such as file_storage", id)
	}
	e.memories.Use(ctx, func(ctx context.Context, name string) (storage.Client, error) {
		return extension.GetClient(ctx, component.KindProcessor, of, name)
	})
	return nil
}

// recall has a service go on from what is known of it.
func (e *engine) recall(s *service, f *flush) {
	s.lasting = lasting{of: familyOf(s.name, f.identity.Namespace, f.resource), began: createdAt(f.resource), turn: turnOf(s.key)}
	a, ok := s.analyzer.(remembering)
	if !ok {
		return
	}
	s.lasting.program = programName(f.resource)
	a.Follow(s.key, s.lasting.program, s.lasting.began)
	a.InRole(s.lasting.of.Role)
	kept := map[memories.Of]bool{}
	for _, other := range e.inOrder() {
		if of := other.lasting.of; of.Service() == s.lasting.of.Service() && !kept[of] {
			kept[of] = true
			e.keep(e.leaderOf(other)) // what runs beside it knows more than what was written
		}
	}
	m, from := e.memories.Recall(s.lasting.of)
	if m == nil || !a.Recall(m) {
		return
	}
	another := !from.SameBuild(s.lasting.of)
	if another {
		e.succeed(s, from)
	}
	for id := range e.expected {
		a.Expect(func(instance, own string) bool { return anomalyID(instance, own) == id })
	}
	e.log.Info("A service goes on from what is known of it.", zap.String("service.name", s.name), zap.Int("hops", m.Hops()),
		zap.Time("until", time.Unix(0, m.Until()).UTC()), zap.Bool("of_another_build", another))
	s.mark(f.latest, "goes on from what is known of it")
}

// programName is the name of the file of a resource's program, as its functions have it.
func programName(attrs pcommon.Map) string {
	if v, ok := attrs.Get("process.executable.path"); ok && v.AsString() != "" {
		return filepath.Base(v.AsString())
	}
	return ""
}

// createdAt is when the process of a resource started, zero when it does not say.
func createdAt(attrs pcommon.Map) int64 {
	if v, ok := attrs.Get("process.creation.time"); ok {
		if at, err := time.Parse(time.RFC3339Nano, v.AsString()); err == nil {
			return at.UnixNano()
		}
	}
	return 0
}

// follow learns of an earlier process of a service.
func (s *service) follow(f *flush) {
	at := createdAt(f.resource)
	if a, ok := s.analyzer.(remembering); ok && at != 0 && (s.lasting.began == 0 || at < s.lasting.began) {
		s.lasting.began = at
		a.Follow(s.key, s.lasting.program, at)
	}
}

// keepDue keeps what is known of a service if it is time. Each service has a turn of its
// own, so that many do not take the CPU at once.
func (e *engine) keepDue(s *service, at int64) {
	a, ok := s.analyzer.(remembering)
	if !ok {
		return
	}
	if s.lasting.kept == 0 {
		s.lasting.kept = at
	}
	every := int64(keepEvery)
	if a.Learned() < int(e.cfg.Window/e.cfg.Hop) {
		every = int64(keepYoung)
	}
	turn := func(at int64) int64 { return (at + s.lasting.turn) / every }
	if s.lasting.dirty || turn(at) > turn(s.lasting.kept) {
		e.keep(s)
		s.lasting.kept = at
	}
}

// turnOf spreads services evenly over keepEvery.
func turnOf(key string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))                 // it gives no error
	return int64(h.Sum64() % uint64(keepEvery)) //nolint:gosec // below keepEvery
}

// keep has what is known of a service written. Of several instances of one build in one
// role the one that still runs and has learned most speaks for all; the others add what they know of starts
// and states.
func (e *engine) keep(s *service) {
	s.lasting.dirty = false
	a, ok := s.analyzer.(remembering)
	if !ok {
		return
	}
	m := a.Memory()
	if m == nil {
		return
	}
	if leader := e.leaderOf(s); leader != s {
		to := leader.analyzer.(remembering)
		to.Adopt(m)
		if m = to.Memory(); m == nil {
			return
		}
	}
	e.memories.Keep(s.lasting.of, m)
}

func (e *engine) leaderOf(s *service) (leader *service) {
	leader = s
	better := func(a, b *service) bool {
		x, y := e.now().Sub(a.heard) < 3*e.cfg.Hop, e.now().Sub(b.heard) < 3*e.cfg.Hop
		if x != y {
			return x
		}
		return a.analyzer.(remembering).Learned() > b.analyzer.(remembering).Learned()
	}
	for _, other := range e.inOrder() {
		if _, ok := other.analyzer.(remembering); ok && other.lasting.of == s.lasting.of && better(other, leader) {
			leader = other
		}
	}
	return leader
}

// Expect says of an anomaly that it was expected, by its ID: its state is known from
// then on. evidence.ErrUnknown when no service that is held had it.
func (e *engine) Expect(ctx context.Context, id string) error {
	known := false
	if err := e.ask(ctx, func() { known = e.expect(id) }); err != nil {
		return err
	}
	if !known {
		return evidence.ErrUnknown
	}
	return nil
}

func (e *engine) expect(id string) (found bool) {
	for _, s := range e.inOrder() {
		a, ok := s.analyzer.(remembering)
		if !ok {
			continue
		}
		e.guard(s, func() {
			over, known := a.Expect(func(instance, own string) bool { return anomalyID(instance, own) == id })
			if !known {
				return
			}
			found = true
			if over != nil {
				e.report(s, over)
			}
			e.log.Info("An anomaly was expected: its state is known from now on.", zap.String("service.name", s.name), zap.String("perfscope.anomaly.id", id))
			e.keep(s)
		})
	}
	return found
}

// lookForExpected reads the file of expected anomalies if it changed its content.
func (e *engine) lookForExpected(now time.Time) {
	path := e.cfg.Memory.ExpectedFile
	if path == "" || now.Sub(e.lookedExpected) < lookEvery {
		return
	}
	e.lookedExpected = now
	ids, err := memories.ReadExpected(path)
	if err != nil {
		if e.expectedError != err.Error() {
			e.expectedError = err.Error()
			e.log.Warn("The file of expected anomalies cannot be read.", zap.Error(err))
		}
		return
	}
	e.expectedError = ""
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if _, known := e.expected[id]; known || len(e.expected) >= maxExpected {
			continue
		}
		e.expected[id] = struct{}{}
		e.expect(id)
	}
}
