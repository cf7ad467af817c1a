package perfscopeprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/doctest"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/conventiontest"
)

// TestConventions holds docs/semantic-conventions.md against an anomaly.
func TestConventions(t *testing.T) {
	for _, file := range []string{
		"../internal/anomalylog/names.go", "../internal/anomalylog/cause.go", "../internal/anomalylog/release.go", "../internal/anomalylog/write.go", "../internal/spanmatch/resource.go",
		"../../internal/correlate/identity.go",
	} {
		doctest.HasAll(t, doctest.Conventions, file)
	}
	a := anomalyAt(epoch)
	a.Warmup, a.Deviations[0].Error = true, "EIO"
	a.Causes = []inference.Cause{{Kind: inference.CauseDisk, Share: 0.9, Resource: "vda", Users: []inference.CauseUser{{Name: "tar"}}}}
	a.Gain, a.Chain = 0.4, []inference.Link{{Kind: inference.LinkWait, Function: "put", Module: "redis-server", Call: "futex", Thread: "jbd2", Share: 1}}
	a.Victims, a.Hit = []string{"nginx"}, a.Suspects[:1]
	attrs := pcommon.NewMap()
	anomalylog.Describe(&a, attrs)
	anomalylog.Link("https://perfscope.example.com/service/redis?anomaly=1", attrs)
	attrs.PutBool(anomalylog.AttrRepeat, true)                          // with every_hop
	attrs.PutStr(anomalylog.AttrEnding, string(inference.EndRecovered)) // when it is cleared
	attrs.PutStr(anomalylog.AttrSummary, a.Summary)                     // of span events
	conventiontest.Documented(t, "perfscope.anomaly", attrs)
	first := func(key string) pcommon.Map {
		v, ok := attrs.Get(key)
		require.True(t, ok, key)
		return v.Slice().At(0).Map()
	}
	conventiontest.Documented(t, anomalylog.AttrSuspects, first(anomalylog.AttrSuspects))
	conventiontest.Documented(t, anomalylog.AttrChain, first(anomalylog.AttrChain))
	cause := first(anomalylog.AttrAllCauses)
	for _, key := range []string{anomalylog.AttrCauseKind, anomalylog.AttrCauseShare, anomalylog.AttrCauseResource, anomalylog.AttrCauseUsers} {
		assert.True(t, cause.Remove(key), key) // as in the record
	}
	assert.Zero(t, cause.Len())
	r := inference.Release{Verdict: inference.VerdictMixed}
	r.Unit, r.Smallest, r.CPU, r.Waiting = "read", 0.02, inference.ReleaseCost{Before: 1e-3, After: 2e-3}, inference.ReleaseCost{Before: 1e-3, After: 1e-3}
	r.Dearer = []inference.ReleaseFunction{{Suspect: a.Suspects[0], Before: 1e-4, After: 2e-4, Share: 0.1}}
	r.Cheaper, r.Calls = r.Dearer, []inference.ReleaseCall{{Number: 1, Before: 1, After: 2}}
	ld, _ := anomalylog.Release(anomalylog.Scope{}, &anomalylog.Build{Service: "shop", Build: "bb", Before: "aa", Version: "1.1", VersionBefore: "1.0", ImageBefore: "orders:1"}, &r, epoch, func(int32) string { return "write" })
	record := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, "shop: with release 1.1 a read costs 2 ms of CPU, was 1 ms; flushAppendOnlyFile is dearer: 200 µs, was 100 µs; flushAppendOnlyFile is cheaper: 200 µs, was 100 µs.", record.Body().AsString())
	conventiontest.Documented(t, "perfscope.release", record.Attributes())
	span := ptrace.NewSpan()
	short := anomalylog.ShortOf(&a)
	short.URL = "https://perfscope.example.com/service/redis?anomaly=1"
	anomalylog.AppendEvent(span, &correlate.Match[anomalylog.Short]{
		Service: correlate.Candidate{Tie: correlate.TieServerAddress}, Verdict: correlate.Verdict[anomalylog.Short]{Value: short},
	}, "redis")
	match := span.Events().At(0).Attributes()
	for _, key := range []string{anomalylog.AttrID, anomalylog.AttrSummary, anomalylog.AttrFunction, anomalylog.AttrPattern, anomalylog.AttrScore, anomalylog.AttrURL} {
		assert.True(t, match.Remove(key), key) // as in the record
	}
	conventiontest.Documented(t, "perfscope.match", match)
	deviation := first(anomalylog.AttrDeviations)
	conventiontest.Documented(t, anomalylog.AttrDeviations, deviation)
	for _, key := range []string{"normal", "abnormal"} {
		v, ok := deviation.Get(key)
		require.True(t, ok, key)
		conventiontest.Documented(t, "figures", v.Map())
	}
}
