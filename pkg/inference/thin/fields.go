package thin

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// fields walks a record. After the first error every value is zero.
type fields struct {
	data []byte
	at   int
	err  error
}

func (f *fields) fail(err error, what string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w at byte %d of %d: %s", err, f.at, len(f.data), what)
	}
}

func (f *fields) number(what string) uint64 {
	if f.err != nil {
		return 0
	}
	v, n := binary.Uvarint(f.data[f.at:])
	if n <= 0 {
		f.failVarint(n, what)
		return 0
	}
	f.at += n
	return v
}

func (f *fields) signed(what string) int64 {
	if f.err != nil {
		return 0
	}
	v, n := binary.Varint(f.data[f.at:])
	if n <= 0 {
		f.failVarint(n, what)
		return 0
	}
	f.at += n
	return v
}

func (f *fields) failVarint(n int, what string) {
	if n == 0 {
		f.fail(ErrTruncated, what)
	} else {
		f.fail(ErrCorrupted, what+" is longer than 64 bits")
	}
}

// time reads a length of time that is no longer than years.
func (f *fields) time(what string) int64 {
	return f.below(what, uint64(math.MaxInt64/8/resolution)) * resolution
}

func (f *fields) below(what string, limit uint64) int64 {
	v := f.number(what)
	if v >= limit {
		f.fail(ErrCorrupted, what+" is too large")
		return 0
	}
	return int64(v) //nolint:gosec // below the limit
}

func (f *fields) int32(what string) int32 {
	v := f.signed(what)
	if v < math.MinInt32 || v > math.MaxInt32 {
		f.fail(ErrCorrupted, what+" is longer than 32 bits")
		return 0
	}
	return int32(v)
}

// count reads a number of things that take at least size bytes each; one that cannot
// fit in what is left is refused before anything is allocated for it.
func (f *fields) count(what string, size uint64) int {
	n := f.number(what)
	if left := uint64(len(f.data) - f.at); n > left/size {
		f.fail(ErrTruncated, fmt.Sprintf("%d %s announced, %d bytes left", n, what, left))
		return 0
	}
	return int(n) //nolint:gosec // fits in the record
}

func (f *fields) text(what string) string {
	n := f.count("bytes of "+what, 1)
	if n > threadtrace.MaxString {
		f.fail(ErrTooLarge, what)
		return ""
	}
	s := string(f.data[f.at : f.at+n])
	f.at += n
	return s
}

func (f *fields) index(what string, n int) int {
	v := f.number(what)
	if f.err == nil && v >= uint64(n) { //nolint:gosec // a length
		f.fail(ErrCorrupted, fmt.Sprintf("%s %d of %d", what, v, n))
	}
	if f.err != nil {
		return 0
	}
	return int(v) //nolint:gosec // below n
}

func (f *fields) pick(what string, of []string) string {
	if i := f.index(what, len(of)); f.err == nil {
		return of[i]
	}
	return ""
}

func (f *fields) coverage(i *Interval) {
	if f.index("whether there is a coverage", 2) == 1 {
		i.From = i.Start + f.time("the coverage's start")
		i.To = i.End - f.time("the coverage's end")
		if f.err == nil && (i.From > i.To || i.From < i.Start) {
			f.fail(ErrCorrupted, "a coverage that ends before it starts")
		}
	}
	for _, t := range []*int64{&i.Looked, &i.Traced, &i.CPUTime, &i.RunDelay, &i.SamplePeriod, &i.SnapshotPeriod, &i.CPUOutside, &i.Gaps} {
		*t = f.time("the coverage")
	}
	i.Looks = f.below("the looks", math.MaxInt32)
	i.Functions = int(f.below("the functions", math.MaxInt32))
	i.Dropped = f.number("what was dropped")
}

func (f *fields) threads(i *Interval) {
	i.Threads = make([]int32, f.count("threads", 1))
	last := int32(0)
	for j := range i.Threads {
		last += f.int32("a thread")
		i.Threads[j] = last
	}
}

// cellSize is the least that a cell takes: a byte in each of five columns.
const cellSize = 5

func (f *fields) cells(i *Interval) {
	i.Cells = make([]Cell, f.count("cells", cellSize))
	last := int32(0)
	for j := range i.Cells {
		last += f.int32("a thread")
		i.Cells[j].Thread = last
	}
	for j := range i.Cells {
		i.Cells[j].Stack = uint32(f.index("a stack", len(i.Stacks)+1)) //nolint:gosec // bounded
	}
	for j := range i.Cells {
		if n := f.below("a call", 1<<32+1); n > 0 {
			i.Cells[j].Waiting, i.Cells[j].Number = true, int32(uint32(n-1)) //nolint:gosec // as it was
		}
	}
	for j := range i.Cells {
		i.Cells[j].Time = f.periods(i.periodOf(i.Cells[j].Waiting))
	}
	distinct := make([]uint64, f.count("moments", 1))
	for j := range distinct {
		distinct[j] = f.moments()
	}
	for j := range i.Cells {
		if n := f.index("moments", len(distinct)); f.err == nil {
			i.Cells[j].Moments = distinct[n]
		}
	}
	for j := range i.Cells {
		if i.Cells[j].Waiting {
			i.Cells[j].Longest = f.below("the longest wait", uint64(math.MaxInt64/longestResolution)) * longestResolution
		}
		if i.Cells[j].Waiting && threadtrace.IsGoroutineWait(i.Cells[j].Number) {
			i.Cells[j].Population = uint16(f.below("a population", 1<<16)) //nolint:gosec // bounded
		}
	}
}

func (f *fields) periods(period int64) int64 {
	v := f.number("a time")
	unit := resolution
	if v&1 != 0 {
		unit = period
	}
	v >>= 1
	if unit > 0 && v > uint64(math.MaxInt64/8/unit) { //nolint:gosec // positive
		f.fail(ErrCorrupted, "a time is too large")
		return 0
	}
	return int64(v) * unit //nolint:gosec // bounded above
}

func (f *fields) byte(what string) byte {
	if f.err == nil && f.at >= len(f.data) {
		f.fail(ErrTruncated, what)
	}
	if f.err != nil {
		return 0
	}
	f.at++
	return f.data[f.at-1]
}

func (f *fields) moments() (m uint64) {
	switch n := f.byte("the number of moments"); {
	case n < sparse:
		for range n {
			m |= 1 << (f.byte("a moment") % Parts)
		}
	case n > sparse:
		f.fail(ErrCorrupted, "the number of moments")
	case len(f.data)-f.at < 8:
		f.fail(ErrTruncated, "moments")
	default:
		m = binary.LittleEndian.Uint64(f.data[f.at:])
		f.at += 8
	}
	return m
}

func (f *fields) calls(i *Interval) {
	i.Calls = make([]Calls, f.count("calls", 5))
	for j := range i.Calls {
		i.Calls[j] = Calls{
			Number: f.int32("a call"), Errno: f.int32("an errno"), N: uint64(f.below("a count", math.MaxInt64)), //nolint:gosec // not negative
			Time: f.time("the time of a call"), Bytes: f.below("bytes", math.MaxInt64),
		}
	}
	i.TimedOut = make([]TimedOut, f.count("calls whose time was over", 2))
	for j := range i.TimedOut {
		i.TimedOut[j] = TimedOut{Number: f.int32("a call"), Time: f.time("the time of a call")}
	}
	i.Sites = make([]Site, f.count("sites", 4))
	for j := range i.Sites {
		i.Sites[j] = Site{
			Number: f.int32("a call"), Errno: f.int32("an errno"), Stack: uint32(f.index("a stack", len(i.Stacks)+1)), //nolint:gosec // bounded
			N: uint32(f.below("a count", 1<<32)), //nolint:gosec // bounded
		}
	}
	i.Refused = make([]Refused, f.count("refusals", 5))
	for j := range i.Refused {
		r := Refused{Number: f.int32("a call"), Errno: f.int32("an errno"), Thread: f.int32("a thread")}
		at := f.signed("a refusal")
		if at < -math.MaxInt32 || at > math.MaxInt64/4/resolution {
			f.fail(ErrCorrupted, "a refusal far away")
			at = 0
		}
		r.First = i.Start + at*resolution
		r.Last = r.First + f.time("a refusal")
		i.Refused[j] = r
	}
}

func (f *fields) machine(m *Machine) {
	const reading, user = 3, 3
	m.Known = f.time("what is known of the machine")
	if m.Known == 0 {
		return
	}
	m.Readings = make([]Reading, f.count("readings", reading))
	for j := range m.Readings {
		m.Readings[j] = Reading{
			Measure: threadtrace.Measure(f.byte("a measure")), Resource: uint32(f.below("a resource", 1<<32)), //nolint:gosec // bounded
			Value: f.below("a reading", math.MaxInt64),
		}
	}
	m.Users = make([]User, f.count("users", user))
	for j := range m.Users {
		m.Users[j] = User{
			Of: threadtrace.Measure(f.byte("a measure")), Who: uint32(f.below("a user", 1<<32)), //nolint:gosec // bounded
			Value: f.below("what is used", math.MaxInt64),
		}
	}
}
