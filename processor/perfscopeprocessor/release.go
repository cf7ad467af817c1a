package perfscopeprocessor

import (
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// maxReleases bounds the builds of which it is known that their release was told.
const maxReleases = 4096

// comparing is what the engine needs of an analyzer to compare a build with the one
// before it.
type comparing interface {
	Succeed()
	Release() (inference.Release, bool)
}

// succeed has a service that goes on from what is known of another build be compared
// with it.
func (e *engine) succeed(s *service, before memories.Of) {
	if a, ok := s.analyzer.(comparing); ok && !e.releases[s.lasting.of.Release()] {
		a.Succeed()
		s.lasting.before = before
	}
}

// compareRelease tells what a release changed, once per service and build: when at least
// half of its instances that came to a result agree.
func (e *engine) compareRelease(s *service, at int64) {
	a, ok := s.analyzer.(comparing)
	if !ok || s.lasting.before == (memories.Of{}) {
		return
	}
	if r, done := a.Release(); done {
		s.lasting.release = &r
	}
	r := s.lasting.release
	if r == nil || e.releases[s.lasting.of.Release()] {
		return
	}
	agree, others := 0, 0
	for _, other := range e.inOrder() {
		if o := other.lasting.release; o != nil && other.lasting.of.SameBuild(s.lasting.of) {
			if o.Verdict == r.Verdict {
				agree++
			} else {
				others++
			}
		}
	}
	if agree < others {
		return
	}
	if len(e.releases) < maxReleases {
		e.releases[s.lasting.of.Release()] = true
	}
	of, before := s.lasting.of, s.lasting.before
	build := anomalylog.Build{
		Service: s.name, Build: of.Build, Version: of.Version, Image: of.Image,
		Before: before.Build, VersionBefore: before.Version, ImageBefore: before.Image,
	}
	e.log.Info("A release was compared with the one before it.", zap.String("service.name", s.name), zap.String("verdict", string(r.Verdict)))
	s.mark(at, anomalylog.ReleaseSentence(&build, r))
	if !e.cfg.Output.ToLogs() {
		return
	}
	ld, resource := anomalylog.Release(e.scope(), &build, r, at, func(nr int32) string { return threadtrace.Name(s.arch, nr) })
	s.processes.common(resource)
	e.send(s.sink, s.name, ld)
}
