package anomalylog

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
)

// ReleaseEvent is the name of what a release changed, as a log record.
const ReleaseEvent = "perfscope.release"

// Attributes of a release. Costs are in seconds per unit of work.
const (
	AttrReleaseVerdict  = "perfscope.release.verdict"
	AttrReleaseUnit     = "perfscope.release.unit"
	AttrReleaseBuild    = "perfscope.release.build"
	AttrReleaseBefore   = "perfscope.release.previous_build"
	AttrReleaseVersion  = "perfscope.release.previous_version"
	AttrReleaseImage    = "perfscope.release.previous_image"
	AttrReleaseSmallest = "perfscope.release.smallest" // share
	AttrReleaseCPU      = "perfscope.release.cpu"
	AttrReleaseWaiting  = "perfscope.release.waiting"
	AttrReleaseDearer   = "perfscope.release.dearer"
	AttrReleaseCheaper  = "perfscope.release.cheaper"
	AttrReleaseCalls    = "perfscope.release.calls"

	keyBefore = "before"
	keyAfter  = "after"
	keyChange = "change"
	keyCall   = "call"
)

// maxReleaseCalls bounds the system calls that are listed.
const maxReleaseCalls = 10

// Build is what a release is of.
type Build struct {
	Service string
	// Build, Version and Image are those of the new one, Before, VersionBefore and
	// ImageBefore of the old.
	Build, Version, Image, Before, VersionBefore, ImageBefore string
}

// name is what a person calls the new one: what tells it from the old.
func (b *Build) name() string {
	const most = 12
	switch {
	case b.Version != "" && b.Version != b.VersionBefore:
		return b.Version
	case b.Build == b.Before && b.Image != "" && b.Image != b.ImageBefore:
		return b.Image
	}
	return b.Build[:min(len(b.Build), most)]
}

// Release makes the log record of what a release changed, known at an instant; the
// resource is to be filled. call names a system call.
func Release(scope Scope, of *Build, r *inference.Release, at int64, call func(int32) string) (ld plog.Logs, resource pcommon.Map) {
	ld, resource, rec := Warning(scope, ReleaseEvent, at, at)
	if len(r.Dearer) == 0 {
		rec.SetSeverityNumber(plog.SeverityNumberInfo)
		rec.SetSeverityText("INFO")
	}
	rec.Body().SetStr(UTF8(ReleaseSentence(of, r)))
	dst := rec.Attributes()
	putText(dst, AttrReleaseVerdict, string(r.Verdict))
	putText(dst, AttrReleaseUnit, r.Unit)
	putText(dst, AttrReleaseBuild, of.Build)
	putText(dst, AttrReleaseBefore, of.Before)
	putText(dst, AttrReleaseVersion, of.VersionBefore)
	putText(dst, AttrReleaseImage, of.ImageBefore)
	dst.PutDouble(AttrReleaseSmallest, inference.Round(r.Smallest))
	putCost(dst.PutEmptyMap(AttrReleaseCPU), r.CPU.Before, r.CPU.After)
	putCost(dst.PutEmptyMap(AttrReleaseWaiting), r.Waiting.Before, r.Waiting.After)
	for _, l := range []struct {
		key  string
		list []inference.ReleaseFunction
	}{{AttrReleaseDearer, r.Dearer}, {AttrReleaseCheaper, r.Cheaper}} {
		if len(l.list) == 0 {
			continue
		}
		list := dst.PutEmptySlice(l.key)
		for i := range l.list {
			f := &l.list[i]
			m := list.AppendEmpty().SetEmptyMap()
			describeFunction(&f.Suspect, m)
			putCost(m, f.Before, f.After)
			m.PutDouble(keyChange, inference.Round(f.Share))
		}
	}
	if n := min(len(r.Calls), maxReleaseCalls); n > 0 {
		list := dst.PutEmptySlice(AttrReleaseCalls)
		for _, c := range r.Calls[:n] {
			m := list.AppendEmpty().SetEmptyMap()
			putText(m, keyCall, call(c.Number))
			putCost(m, c.Before, c.After)
		}
	}
	return ld, resource
}

func putCost(dst pcommon.Map, before, after float64) {
	dst.PutDouble(keyBefore, before)
	dst.PutDouble(keyAfter, after)
}

// ReleaseSentence says what a release changed to a person.
func ReleaseSentence(of *Build, r *inference.Release) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: with release %s", of.Service, of.name())
	if r.Verdict == inference.VerdictNoChange {
		fmt.Fprintf(&b, " no function costs more or less by %d %% of the service's time or more", r.SmallestPercent())
		return b.String() + "."
	}
	fmt.Fprintf(&b, " a %s costs %s of CPU, was %s", r.Unit, micro(r.CPU.After), micro(r.CPU.Before))
	say := func(what string, list []inference.ReleaseFunction) {
		for i := range list[:min(1, len(list))] {
			f := &list[i]
			fmt.Fprintf(&b, "; %s is %s: %s, was %s", UTF8(f.Function), what, micro(f.After), micro(f.Before))
		}
	}
	say("dearer", r.Dearer)
	say("cheaper", r.Cheaper)
	return b.String() + "."
}

// micro writes seconds as a person would say a small time.
func micro(s float64) string {
	switch {
	case s >= 1:
		return fmt.Sprintf("%.3g s", s)
	case s >= 1e-3:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g µs", s*1e6)
}
