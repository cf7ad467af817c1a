// Package unit cuts the events of a thread into execution units, the stretch
// of work between two idle waits, and sums each up in a few hundred bytes
// whatever its length (PerfScope, SoCC 2014, section 3.1, which cuts at context
// switches and long gaps; an idle wait is where a server's thread gives up the
// CPU of its own accord).
package unit

import (
	"cmp"
	"slices"
)

// Key is one dimension of the appearance and frequency vectors: a system call
// together with how it ended, since a failing call is another behaviour than
// the same call succeeding.
type Key struct {
	Number int32
	// Errno is positive, zero for success.
	Errno int32
}

// Count is one Key's share of a unit.
type Count struct {
	Key
	// N is how often, Time how long in nanoseconds, Bytes how much was
	// moved, by the return values of calls that move bytes.
	N     uint32
	Time  int64
	Bytes int64
}

// MaxKeys bounds the distinct Keys of one unit; calls beyond are counted in
// Overflow. A server's unit has a handful, a start-up a few dozen.
const MaxKeys = 48

// MaxStacks bounds the distinct stacks kept with one unit.
const MaxStacks = 12

// StackTime is time seen under one stack, on CPU or waiting, in nanoseconds.
type StackTime struct {
	Stack   uint32
	Number  int32
	Waiting bool
	Time    int64
}

// Unit is one execution unit.
type Unit struct {
	ThreadID int32
	// Start and End are in nanoseconds since the Unix epoch. The unit starts
	// when the thread returned from an idle wait, and ends with the next.
	Start, End int64
	// Calls is ordered by Key.
	Calls []Count
	// Gap is the time between calls (user code), MaxGap the longest, in
	// nanoseconds; OnCPU is the CPU time that samples stand for.
	Gap, MaxGap, OnCPU int64
	// Blocked is the time that snapshots saw it waiting in calls that are
	// not idle waits, SlowCalls what such calls took that took a millisecond
	// or more, in nanoseconds: two views of the same.
	Blocked, SlowCalls int64
	// Judged is the part of Observed that was judged while the unit was open.
	Judged int64
	// Stacks is what was seen of the thread inside the unit.
	Stacks []StackTime
	// Overflow counts calls left out of Calls.
	Overflow uint32
	// Open is set on a unit that had not ended when it was looked at.
	Open bool
	// Cut is set on a unit of which a part was not traced: how long it took
	// and what else was in it is not known.
	Cut bool
}

// Duration is in nanoseconds.
func (u *Unit) Duration() int64 { return u.End - u.Start }

// Observed is the time the unit was seen on CPU or waiting, in nanoseconds.
func (u *Unit) Observed() int64 { return u.OnCPU + max(u.Blocked, u.SlowCalls) }

// Recent is the part of Observed not judged yet.
func (u *Unit) Recent() int64 { return max(0, u.Observed()-u.Judged) }

// Total is the number of calls.
func (u *Unit) Total() uint32 {
	n := u.Overflow
	for i := range u.Calls {
		n += u.Calls[i].N
	}
	return n
}

// Clone copies the unit and what it holds.
func (u *Unit) Clone() *Unit {
	c := *u
	c.Calls = slices.Clone(u.Calls)
	c.Stacks = slices.Clone(u.Stacks)
	return &c
}

// Appearance is the unit's appearance vector (which calls, not how often),
// packed so that it can be compared and used as a map's key.
func (u *Unit) Appearance() string {
	b := make([]byte, 0, 4*len(u.Calls))
	return string(u.AppendAppearance(b))
}

// AppendAppearance appends the packed appearance vector, four bytes a Key.
func (u *Unit) AppendAppearance(b []byte) []byte {
	for i := range u.Calls {
		k := u.Calls[i].Key
		b = append(b, byte(k.Number>>8), byte(k.Number), byte(k.Errno>>8), byte(k.Errno))
	}
	return b
}

// add counts a call.
func (u *Unit) add(k Key, time, bytes int64) {
	// A unit has a handful of keys, and this runs for every call: going through
	// them is half the cost of a binary search with a comparison function.
	i := 0
	for i < len(u.Calls) && u.Calls[i].order() < k.order() {
		i++
	}
	if i == len(u.Calls) || u.Calls[i].Key != k {
		if len(u.Calls) >= MaxKeys {
			u.Overflow++
			return
		}
		u.Calls = slices.Insert(u.Calls, i, Count{Key: k})
	}
	u.Calls[i].N++
	u.Calls[i].Time += time
	u.Calls[i].Bytes += bytes
}

// addStack credits time to a stack.
func (u *Unit) addStack(s StackTime) {
	if s.Stack == 0 {
		return
	}
	for i := range u.Stacks {
		t := &u.Stacks[i]
		if t.Stack == s.Stack && t.Number == s.Number && t.Waiting == s.Waiting {
			t.Time += s.Time
			return
		}
	}
	if len(u.Stacks) < MaxStacks {
		u.Stacks = append(u.Stacks, s)
	}
}

// order sorts by number, then by errno.
func (k Key) order() uint64 { return uint64(uint32(k.Number))<<32 | uint64(uint32(k.Errno)) }

// Compare orders Keys by number, then by errno.
func (k Key) Compare(o Key) int { return cmp.Compare(k.order(), o.order()) }

// KeyOf is the Key of a finished call.
func KeyOf(number, ret int32) Key {
	if ret < 0 && ret >= -4095 {
		return Key{Number: number, Errno: -ret}
	}
	return Key{Number: number}
}
