package perfscopeprocessor

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/syscalllog"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// maxAhead is how far the records' clock may be ahead of this host's. One wild
// timestamp would otherwise close all hops up to it.
const maxAhead = 10 * time.Minute

// flush is what one resource's records hold, copied out of them.
type flush struct {
	identity correlate.Identity
	resource pcommon.Map
	arch     string
	batches  []*syscalltrace.Batch
	covers   []*syscalltrace.Coverage
	// latest is the newest instant the records tell of.
	latest int64
	from   *logsHandle
}

// events counts what is held and what was lost on the way.
func (f *flush) events() (taken int, lost uint64) {
	for _, b := range f.batches {
		taken += len(b.Events)
		if len(f.covers) == 0 {
			lost += b.Dropped // else the coverage counts it, too
		}
	}
	for _, c := range f.covers {
		for _, n := range c.Dropped {
			lost += n
		}
	}
	return taken, lost
}

// count tells the syscall records of a payload from the others.
func count(ld plog.Logs) (syscalls, others int) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if syscalllog.IsRecord(rec) {
					syscalls++
				} else {
					others++
				}
			}
		}
	}
	return syscalls, others
}

// without copies a payload without some of its records.
func without(ld plog.Logs, left func(plog.LogRecord) bool) plog.Logs {
	out := plog.NewLogs()
	for _, rl := range ld.ResourceLogs().All() {
		var rlOut plog.ResourceLogs
		begun := false
		for _, sl := range rl.ScopeLogs().All() {
			var slOut plog.ScopeLogs
			scoped := false
			for _, rec := range sl.LogRecords().All() {
				if left(rec) {
					continue
				}
				if !begun {
					begun, rlOut = true, out.ResourceLogs().AppendEmpty()
					rl.Resource().CopyTo(rlOut.Resource())
					rlOut.SetSchemaUrl(rl.SchemaUrl())
				}
				if !scoped {
					scoped, slOut = true, rlOut.ScopeLogs().AppendEmpty()
					sl.Scope().CopyTo(slOut.Scope())
					slOut.SetSchemaUrl(sl.SchemaUrl())
				}
				rec.CopyTo(slOut.LogRecords().AppendEmpty())
			}
		}
	}
	return out
}

// decode reads the syscall records of one resource; nil when it has none that
// can be read.
func decode(rl plog.ResourceLogs, now time.Time) (*flush, []error) {
	attrs := rl.Resource().Attributes()
	f := &flush{}
	if v, ok := attrs.Get("host.arch"); ok {
		f.arch = v.AsString()
	}
	limit := now.Add(maxAhead).UnixNano()
	var errs []error
	h := syscalllog.Handler{
		Arch: f.arch,
		Batch: func(arch string, b *syscalltrace.Batch) {
			latest := int64(0)
			for i := range b.Events {
				latest = max(latest, b.Events[i].End())
			}
			if latest > limit {
				errs = append(errs, aheadError(fmt.Sprintf("thread %d", b.ThreadID), latest, now))
				return
			}
			if f.arch == "" {
				f.arch = arch
			}
			f.latest = max(f.latest, latest)
			f.batches = append(f.batches, b)
		},
		Coverage: func(c *syscalltrace.Coverage) {
			if c.End > limit {
				errs = append(errs, aheadError("the coverage", c.End, now))
				return
			}
			f.latest = max(f.latest, c.End)
			f.covers = append(f.covers, c)
		},
	}
	for _, sl := range rl.ScopeLogs().All() {
		errs = append(errs, syscalllog.Decode(sl.LogRecords(), h)...)
	}
	if len(f.batches) == 0 && len(f.covers) == 0 {
		return nil, errs
	}
	f.identity = identityOf(attrs)
	if f.identity.Name == "" {
		// Only another tool's records come without: better under the
		// program's name than mixed with all others.
		if v, ok := attrs.Get("process.executable.name"); ok {
			f.identity.Name = v.AsString()
		}
	}
	f.resource = copied(attrs)
	return f, errs
}

func aheadError(what string, latest int64, now time.Time) error {
	return fmt.Errorf("%s: its time is %s ahead of this host's clock, at most %s is taken; compare the clocks of both hosts",
		what, time.Unix(0, latest).Sub(now).Round(time.Second), maxAhead)
}
