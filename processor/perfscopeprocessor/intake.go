package perfscopeprocessor

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// maxAhead is how far the records' clock may be ahead of this host's. One wild
// timestamp would otherwise close all hops up to it.
const maxAhead = 10 * time.Minute

// flush is what one resource's records hold, copied out of them.
type flush struct {
	identity correlate.Identity
	resource pcommon.Map
	arch     string
	batches  []*threadtrace.Batch
	covers   []*threadtrace.Coverage
	machines []*threadtrace.Machine
	// latest is the newest instant the records tell of.
	latest int64
	from   *logsink.Sink
	// bytes estimates its memory, left is how many attributes of the resource were
	// left out.
	bytes int64
	left  int
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

// maxFlush is the memory of a flush (bytes, estimated) from which on what else a
// resource has is another one: a few bytes of a packed record may become thousands.
const maxFlush = 16 << 20

// weigh estimates the memory of a batch (bytes).
func weigh(b *threadtrace.Batch) int64 {
	const event, stack, frame, context = 64, 32, 80, 48
	n := int64(len(b.Events)*event + len(b.Stacks)*stack + len(b.Contexts)*context)
	for i := range b.Stacks {
		n += int64(len(b.Stacks[i].Frames) * frame)
	}
	return n
}

// coverageSize estimates the memory of a coverage record (bytes).
const coverageSize = 512

// decode reads the syscall records of one resource and hands them on in flushes of
// bounded size; the errors are of records that were left out. It ends early with the
// error of pass.
func decode(rl plog.ResourceLogs, now time.Time, pass func(*flush) error) (errs []error, err error) {
	d := decoder{attrs: rl.Resource().Attributes(), now: now, pass: pass}
	d.begin()
	if v, ok := d.attrs.Get("host.arch"); ok {
		d.f.arch = v.AsString()
	}
	h := tracelog.Handler{Arch: d.f.arch, Batch: d.batch, Coverage: d.coverage, Machine: d.machine}
	for _, sl := range rl.ScopeLogs().All() {
		d.errs = append(d.errs, tracelog.Decode(sl.LogRecords(), h)...)
	}
	d.end()
	return d.errs, d.failed
}

// decoder gathers the flush at hand.
type decoder struct {
	attrs  pcommon.Map
	now    time.Time
	pass   func(*flush) error
	f      *flush
	errs   []error
	failed error
}

// begin begins a flush, of the same architecture as the one before.
func (d *decoder) begin() {
	arch := ""
	if d.f != nil {
		arch = d.f.arch
	}
	d.f = &flush{arch: arch}
}

func (d *decoder) batch(arch string, b *threadtrace.Batch) {
	latest := int64(0)
	for i := range b.Events {
		latest = max(latest, b.Events[i].End())
	}
	switch {
	case d.failed != nil:
		return
	case d.ahead(latest):
		d.errs = append(d.errs, aheadError(fmt.Sprintf("thread %d", b.ThreadID), latest, d.now))
		return
	}
	if d.f.arch == "" {
		d.f.arch = arch
	}
	d.f.latest = max(d.f.latest, latest)
	d.f.batches = append(d.f.batches, b)
	d.grow(weigh(b))
}

func (d *decoder) coverage(c *threadtrace.Coverage) {
	switch {
	case d.failed != nil:
		return
	case d.ahead(c.End):
		d.errs = append(d.errs, aheadError("the coverage", c.End, d.now))
		return
	}
	d.f.latest = max(d.f.latest, c.End)
	d.f.covers = append(d.f.covers, c)
	d.grow(coverageSize)
}

func (d *decoder) machine(m *threadtrace.Machine) {
	switch {
	case d.failed != nil:
		return
	case d.ahead(m.End):
		d.errs = append(d.errs, aheadError("the machine", m.End, d.now))
		return
	}
	const reading = 64 // bytes, estimated, without the name
	d.f.machines = append(d.f.machines, m)
	bytes := int64(coverageSize + reading*(len(m.Readings)+len(m.Users)))
	for i := range m.Readings {
		bytes += int64(len(m.Readings[i].Resource))
	}
	for i := range m.Users {
		bytes += int64(len(m.Users[i].Name))
	}
	d.grow(bytes)
}

func (d *decoder) ahead(at int64) bool { return at > d.now.Add(maxAhead).UnixNano() }

// grow ends the flush when it is large.
func (d *decoder) grow(bytes int64) {
	if d.f.bytes += bytes; d.f.bytes >= maxFlush {
		d.end()
		d.begin()
	}
}

// end hands the flush on, if anything is in it.
func (d *decoder) end() {
	f := d.f
	if len(f.batches) == 0 && len(f.covers) == 0 && len(f.machines) == 0 || d.failed != nil {
		return
	}
	f.identity = identityOf(d.attrs)
	f.resource, f.left = spanmatch.Bounded(d.attrs)
	f.bytes += spanmatch.MaxResource
	d.failed = d.pass(f)
}

// identityOf is whose records a resource has.
func identityOf(attrs pcommon.Map) correlate.Identity {
	id := spanmatch.Identity(attrs)
	if id.Name == "" {
		// Only another tool's records come without: better under the
		// program's name than mixed with all others.
		if v, ok := attrs.Get("process.executable.name"); ok {
			id.Name = cleantext.Clean(v.AsString(), cleantext.MaxName)
		}
	}
	return id
}

func aheadError(what string, latest int64, now time.Time) error {
	return fmt.Errorf("%s: its time is %s ahead of this host's clock, at most %s is taken; compare the clocks of both hosts",
		what, time.Unix(0, latest).Sub(now).Round(time.Second), maxAhead)
}
