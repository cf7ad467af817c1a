package stack

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// A walk runs under the Unwinder's lock and with what is held in memory only.
// What it lacks (a memory map, a module's tables, a perf map, a piece of code) is
// work: it is done without the lock, kept under it, and the walk begins anew. So
// a target that makes its files slow or dear to read holds up nobody but itself.

// work does something that takes time, without the lock, and returns how the
// result is kept, which is called under the lock.
type work func() (keep func())

// ErrWork is what Try gives when something would have to be read first.
var ErrWork = errors.New("something must be read first")

// ErrDeferred is that tables which were dropped would have to be read again, and too much
// CPU time went into that.
var ErrDeferred = errors.New("the reading of tables of symbols again takes too much time for now")

// maxWork bounds the pieces of work done for one stack.
const maxWork = 256

var errTooMuchWork = fmt.Errorf("more than %d files and pieces of memory are needed for one stack", maxWork)

// patiently calls with until it wants nothing more, under the lock, and does the
// work wanted in between. with must start from nothing each time. The time goes
// to the account of the process.
func (u *Unwinder) patiently(pid int32, most int, with func(p *process)) error {
	runtime.LockOSThread() // its CPU clock is read
	defer runtime.UnlockOSThread()
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.accounts.refuses(pid, u.now()); err != nil {
		return err
	}
	before := u.cpu()
	defer func() { u.charge(pid, u.cpu()-before) }()
	for done := 0; ; done++ {
		u.want, u.codes, u.failure = nil, u.codes[:0], nil
		u.walkStart, u.refused, u.deferred = u.tick+1, false, false
		p, err := u.process(pid)
		if p != nil {
			with(p)
			if len(u.codes) > 0 && u.want == nil {
				u.want = u.readCodes(p)
			}
		}
		do := u.want
		u.want = nil
		switch {
		case do == nil:
			return err
		case most == 0:
			return ErrWork
		case done == most:
			return errTooMuchWork
		}
		start := u.walkStart
		u.mu.Unlock()
		keep := do()
		u.mu.Lock()
		u.walkStart = start
		if keep(); u.failure != nil {
			return u.failure
		}
	}
}

// wants reports whether the walk under way cannot go on.
func (u *Unwinder) wants() bool { return u.want != nil || len(u.codes) > 0 }

const (
	// maxCodes bounds the pieces of machine code kept of a process, maxAllCodes
	// those of all, 32 bytes each, and maxCodesWanted those read at a time.
	maxCodes, maxAllCodes, maxCodesWanted = 4096, 1 << 18, 256
	codeSize                              = 6
)

// code is the machine code before a return address.
type code struct {
	bytes [codeSize]byte
	ok    bool
}

// codeBefore is the machine code before an address; ok is false when it cannot be
// read, or has to be read first.
func (u *Unwinder) codeBefore(p *process, addr uint64) ([codeSize]byte, bool) {
	if c, known := p.code[addr]; known {
		return c.bytes, c.ok
	}
	if len(u.codes) < maxCodesWanted {
		u.codes = append(u.codes, addr)
	}
	return [codeSize]byte{}, false
}

// readCodes reads what the walk lacked.
func (u *Unwinder) readCodes(p *process) work {
	pid, addrs := p.pid, append([]uint64(nil), u.codes...)
	return func() func() {
		read, err := u.door.ReadCodes(pid, addrs, codeSize)
		return func() {
			if rootfs.IsStuck(err) {
				u.stats.Failed++
			}
			if p.code == nil || len(p.code)+len(addrs) > maxCodes {
				p.code = make(map[uint64]code, len(addrs))
			}
			for i, addr := range addrs {
				var c code
				if i < len(read) && len(read[i]) == codeSize {
					c = code{[codeSize]byte(read[i]), true}
				}
				p.code[addr] = c
			}
			u.shrinkCodes(p)
		}
	}
}

// shrinkCodes drops the machine code of all processes but one when there is too much
// of it; it is read again where it is needed.
func (u *Unwinder) shrinkCodes(keep *process) {
	held := 0
	for _, p := range u.processes {
		held += len(p.code)
	}
	if held <= maxAllCodes {
		return
	}
	for _, p := range u.processes {
		if p != keep {
			p.code = nil
		}
	}
}

const (
	// processBurst is the CPU time that may be spent on one process at once, and
	// processShare what part of the time that passes may be spent on it for good.
	processBurst = 5 * time.Second
	processShare = 0.1
	// firstPenalty is for how long a process beyond that is left alone, at first;
	// each further time doubles it, up to maxPenalty.
	firstPenalty, maxPenalty = time.Minute, 16 * time.Minute
	// maxAccounts bounds the accounts.
	maxAccounts = 8192
)

// ErrOverBudget is what a process gets that is left alone because it had cost
// too much.
var ErrOverBudget = errors.New("its stacks cost more CPU time than there is for one process: it is left alone for a while")

// spending is CPU time that was spent, less what a share of the time that passed since
// has paid for.
type spending struct {
	spent time.Duration
	at    time.Time
}

// left is what is not paid for yet.
func (s *spending) left(share float64, now time.Time) time.Duration {
	return max(0, s.spent-time.Duration(share*float64(now.Sub(s.at))))
}

func (s *spending) add(cost time.Duration, share float64, now time.Time) {
	s.spent, s.at = s.left(share, now)+max(0, cost), now
}

// account is what one process has cost.
type account struct {
	spending
	until   time.Time
	penalty time.Duration
}

type accounts map[int32]*account

// refuses gives an error while a process is left alone.
func (a accounts) refuses(pid int32, now time.Time) error {
	if c := a[pid]; c != nil && now.Before(c.until) {
		return fmt.Errorf("process %d: %w", pid, ErrOverBudget)
	}
	return nil
}

// charge adds to what a process has cost; when that is too much it is for how
// long the process is left alone from now on.
func (a accounts) charge(pid int32, cost time.Duration, now time.Time) time.Duration {
	c := a[pid]
	if c == nil {
		if len(a) >= maxAccounts {
			for other := range a {
				delete(a, other) // any: a map's order is random
				break
			}
		}
		c = &account{spending: spending{at: now}, penalty: firstPenalty}
		a[pid] = c
	}
	if c.add(cost, processShare, now); c.spent < processBurst {
		return 0
	}
	penalty := c.penalty
	c.spent, c.until, c.penalty = 0, now.Add(penalty), min(2*penalty, maxPenalty)
	return penalty
}

// Quarantine tells of something that is left alone from now on.
type Quarantine struct {
	// Kind is "process", "module" or "perf_map".
	Kind string
	// Name is the path of the program or of the module.
	Name string
	// PID is the process it was met in.
	PID   int32
	Cause error
	// For is for how long, zero for good.
	For time.Duration
}

func (u *Unwinder) charge(pid int32, cost time.Duration) {
	if penalty := u.accounts.charge(pid, cost, u.now()); penalty > 0 {
		name := ""
		if p := u.processes[pid]; p != nil {
			name = p.exe
		}
		u.quarantine(Quarantine{"process", name, pid, ErrOverBudget, penalty})
	}
}

func (u *Unwinder) quarantine(q Quarantine) {
	u.stats.Quarantined++
	u.lastError = q.Cause
	if u.opts.Quarantine != nil {
		u.opts.Quarantine(q)
	}
}
