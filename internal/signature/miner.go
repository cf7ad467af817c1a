package signature

import (
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// maxThreads bounds the threads whose present sequence is followed; when there
// are more, those of all are taken for ended.
const maxThreads = 16384

// Miner gathers the calls of one program with their stacks, and mines what
// functions can be told by. It holds distinct sequences, not events: its memory
// is bounded by NewMiner's limit and frames.MaxStacks, below 150 MB with
// Sequences, a tenth of it with FewSequences, and far less for most programs. What it finds does not depend on the order in
// which the batches of different threads come. It is not safe for concurrent
// use.
type Miner struct {
	arch    string
	classes *threadtrace.Classes
	stacks  *frames.Table
	// hashes of what the stacks hold, by their identifiers.
	hashes  []uint64
	threads map[int32]*pending
	units   units
	ids     []uint32
	// calls is how many were taken, bare those without a stack.
	calls, bare uint64
}

// pending is a sequence that has not ended.
type pending struct {
	key  []byte
	hash uint64
	n    int
}

// Progress says what a Miner has been given and holds.
type Progress struct {
	// Calls counts finished calls, Bare those without a stack: what they
	// belong to is not known, and they are of no use.
	Calls, Bare uint64
	// Sequences counts the stretches between idle waits, Left those that
	// were not kept for lack of room.
	Sequences, Left uint64
	// Distinct is the number of sequences held, Stacks that of stacks.
	Distinct, Stacks int
	// Bytes estimates the memory held.
	Bytes int64
}

// NewMiner starts with nothing; arch is the machine's architecture ("amd64"),
// limit Sequences or FewSequences.
func NewMiner(arch string, limit int) *Miner {
	return &Miner{
		arch: arch, classes: threadtrace.NewClasses(arch), stacks: frames.NewTable(),
		hashes: make([]uint64, 1), threads: map[int32]*pending{}, units: newUnits(limit),
	}
}

// Add takes the calls of one thread; it keeps nothing of the batch. The batches
// of one thread must come in the order of time.
func (m *Miner) Add(b *threadtrace.Batch) {
	m.ids = m.ids[:0]
	for i := range b.Stacks {
		m.ids = append(m.ids, m.intern(&b.Stacks[i]))
	}
	th := m.threads[b.ThreadID]
	if th == nil {
		if len(m.threads) == maxThreads {
			m.Finish()
		}
		th = &pending{}
		m.threads[b.ThreadID] = th
	}
	if b.Dropped > 0 {
		// Nobody knows where the calls that were lost belong.
		m.end(th)
	}
	for i := range b.Events {
		e := &b.Events[i]
		if e.Cut {
			// Tracing began or ended within the call: what was made before, or
			// is made after it, is not known.
			m.end(th)
		}
		if e.Kind != threadtrace.KindCall {
			continue
		}
		call, ok := symbolOf(m.classes, e.Number, e.Return)
		if !ok {
			continue
		}
		stack := uint32(0)
		if e.Stack != 0 && int(e.Stack) <= len(m.ids) {
			stack = m.ids[e.Stack-1]
		}
		m.calls++
		if stack == 0 {
			m.bare++
		}
		if cut(m.classes, e, th.n) {
			m.end(th)
		}
		th.key = appendPlace(th.key, call, stack)
		th.hash = mix(mix(th.hash, uint64(call)), m.hashes[stack])
		th.n++
	}
}

// Finish takes what is under way for ended, as when no more will come.
func (m *Miner) Finish() {
	for _, th := range m.threads {
		m.end(th)
	}
	clear(m.threads)
}

func (m *Miner) end(th *pending) {
	if th.n > 0 {
		m.units.add(th.key, th.hash)
	}
	th.key, th.hash, th.n = th.key[:0], 0, 0
}

func (m *Miner) intern(s *threadtrace.Stack) uint32 {
	id := m.stacks.Intern(s)
	if int(id) == len(m.hashes) {
		hash := mix(1, 0)
		for _, f := range m.stacks.Get(id).Frames {
			fn := m.stacks.Function(f)
			hash = mix(mix(hash, hashOf(fn.Module)), hashOf(fn.Name))
		}
		m.hashes = append(m.hashes, hash)
	}
	return id
}

func hashOf(s string) uint64 {
	h := uint64(len(s))
	for i := range len(s) {
		h = mix(h, uint64(s[i]))
	}
	return h
}

// Progress says how far it is.
func (m *Miner) Progress() Progress {
	const perStack = 400 // a stack's frames and its key
	return Progress{
		Calls: m.calls, Bare: m.bare,
		Sequences: m.units.seen, Left: m.units.left,
		Distinct: len(m.units.of), Stacks: m.stacks.Len(),
		Bytes: m.units.bytes + int64(m.stacks.Len())*perStack,
	}
}
