// Package anomalylog is anomalies as log records and as events on spans: what
// they are called there, how they are written and read.
package anomalylog

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/pkg/inference"
)

// maxThreadsListed bounds the thread ids in one anomaly.
const maxThreadsListed = 64

// maxNames bounds the names in AttrNames.
const maxNames = 3

// Describe writes an anomaly as the attributes of its log record.
func Describe(a *inference.Anomaly, dst pcommon.Map) {
	dst.EnsureCapacity(30)
	putText(dst, AttrID, a.ID)
	putText(dst, AttrState, string(a.State))
	putText(dst, AttrEnding, string(a.Ending))
	putText(dst, AttrKind, string(a.Kind))
	dst.PutDouble(AttrScore, a.Score)
	if a.Confidence > 0 {
		dst.PutDouble(AttrConfidence, a.Confidence)
	}
	dst.PutDouble(AttrImpact, a.Impact)
	putText(dst, AttrPattern, a.Pattern)
	if a.Warmup {
		dst.PutBool(AttrWarmup, true)
	}
	describeTime(a, dst)
	describeCauses(a, dst)
	describeSuspects(a.Suspects, dst)
	if a.Gain > 0 {
		dst.PutDouble(AttrGain, a.Gain)
	}
	if a.Scope > 0 {
		dst.PutDouble(AttrScope, a.Scope)
	}
	describeChain(a.Chain, dst)
	describeNames(AttrPath, a.Path, dst)
	describeNames(AttrOrder, a.Order, dst)
	describeThreads(a.Units, dst)
	if len(a.Deviations) > 0 {
		list := dst.PutEmptySlice(AttrDeviations)
		for i := range a.Deviations {
			describeDeviation(&a.Deviations[i], list.AppendEmpty().SetEmptyMap())
		}
	}
}

// Link writes where an anomaly can be seen; empty is nowhere.
func Link(url string, dst pcommon.Map) { putText(dst, AttrURL, url) }

func putText(dst pcommon.Map, key, value string) {
	if value != "" {
		dst.PutStr(key, UTF8(value))
	}
}

// describeTime writes when an anomaly was and what it cost. A cleared one is
// about all of its time, others are about one hop.
func describeTime(a *inference.Anomaly, dst pcommon.Map) {
	start, end, until := a.Start, a.End, a.End
	if a.State == inference.StateCleared {
		start, end, until = a.Onset, a.Cleared, a.Cleared
	}
	dst.PutStr(AttrOnset, Timestamp(a.Onset))
	dst.PutStr(AttrStart, Timestamp(start))
	dst.PutStr(AttrEnd, Timestamp(end))
	dst.PutDouble(AttrDuration, seconds(until-a.Onset))
	dst.PutDouble(AttrLost, inference.Round(a.Lost))
	if a.Seen > 1 {
		dst.PutInt(AttrSeen, int64(a.Seen))
		dst.PutStr(AttrSeenFirst, Timestamp(a.FirstSeen))
	}
	if first, last, ok := bounds(a.Units); ok {
		dst.PutStr(AttrFirst, Timestamp(first))
		dst.PutStr(AttrLast, Timestamp(last))
	}
}

// describeSuspects writes the first suspect also flat, and the names of the
// first ones as a list: most backends search no nested values.
func describeSuspects(suspects []inference.Suspect, dst pcommon.Map) {
	if len(suspects) == 0 {
		return
	}
	describeFunction(&suspects[0], dst)
	dst.PutDouble(AttrSuspect, suspects[0].Score)
	names := dst.PutEmptySlice(AttrNames)
	list := dst.PutEmptySlice(AttrSuspects)
	list.EnsureCapacity(len(suspects))
	for i := range suspects {
		s := &suspects[i]
		if i < maxNames {
			names.AppendEmpty().SetStr(UTF8(s.Function))
		}
		m := list.AppendEmpty().SetEmptyMap()
		describeFunction(s, m)
		m.PutDouble(AttrSuspect, s.Score)
		evidence := m.PutEmptySlice(AttrEvidence)
		for _, e := range s.Evidence {
			evidence.AppendEmpty().SetStr(e)
		}
	}
}

// DescribeSuspects writes functions that are to blame for something else than an
// anomaly in the same attributes.
func DescribeSuspects(suspects []inference.Suspect, path []string, scope float64, dst pcommon.Map) {
	describeSuspects(suspects, dst)
	if scope > 0 {
		dst.PutDouble(AttrScope, scope)
	}
	describeNames(AttrPath, path, dst)
}

// describeChain writes who waits for whom, one after the other.
func describeChain(links []inference.Link, dst pcommon.Map) {
	if len(links) == 0 {
		return
	}
	list := dst.PutEmptySlice(AttrChain)
	list.EnsureCapacity(len(links))
	for i := range links {
		l := &links[i]
		m := list.AppendEmpty().SetEmptyMap()
		m.PutStr("kind", string(l.Kind))
		putText(m, AttrFunction, l.Function)
		putText(m, AttrModule, l.Module)
		putText(m, "perfscope.syscall.name", l.Call)
		putText(m, "thread.name", l.Thread)
		m.PutDouble("share", l.Share)
	}
}

func describeNames(key string, names []string, dst pcommon.Map) {
	if len(names) == 0 {
		return
	}
	list := dst.PutEmptySlice(key)
	for _, n := range names {
		list.AppendEmpty().SetStr(UTF8(n))
	}
}

func describeFunction(s *inference.Suspect, dst pcommon.Map) {
	dst.PutStr(AttrFunction, UTF8(s.Function))
	if s.Module != "" {
		dst.PutStr(AttrModule, UTF8(s.Module))
	}
	if s.File != "" {
		dst.PutStr(AttrFile, UTF8(s.File))
		dst.PutInt(AttrLine, int64(s.Line))
	}
}

// bounds is when the first of the abnormal stretches begins and the last ends.
func bounds(units []inference.Span) (first, last int64, ok bool) {
	for i, u := range units {
		if i == 0 {
			first, last = u.Start, u.End
		}
		first, last = min(first, u.Start), max(last, u.End)
	}
	return first, last, len(units) > 0
}

func describeThreads(units []inference.Span, dst pcommon.Map) {
	if len(units) == 0 {
		return
	}
	listed := map[int32]struct{}{}
	threads := dst.PutEmptySlice(AttrThreads)
	for _, u := range units {
		if _, there := listed[u.ThreadID]; there {
			continue
		}
		if len(listed) == maxThreadsListed {
			return
		}
		listed[u.ThreadID] = struct{}{}
		threads.AppendEmpty().SetInt(int64(u.ThreadID))
	}
}

func describeDeviation(d *inference.Deviation, dst pcommon.Map) {
	dst.PutStr("perfscope.syscall.name", UTF8(d.Call))
	if d.Error != "" {
		dst.PutStr("error.type", UTF8(d.Error))
	}
	figures := func(key string, f inference.Figures) {
		m := dst.PutEmptyMap(key)
		m.PutDouble("rate", f.RatePerSecond)
		m.PutDouble("mean_duration", f.MeanSeconds)
		m.PutDouble("error_share", f.ErrorShare)
	}
	figures("normal", d.Normal)
	figures("abnormal", d.Abnormal)
}
