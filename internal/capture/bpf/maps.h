/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Everything the programs and user space share. layout.go mirrors these
 * structures; TestLayout holds the two together. */
#ifndef PERFSCOPE_MAPS_H
#define PERFSCOPE_MAPS_H

#define PAGE 4096
#define MAX_STACK 32768
#define SLOT_BITS 14
#define SLOTS (1 << SLOT_BITS)
#define MAX_ROWS 16384
#define SEEN_WORDS 7
/* Delays are told in units of 1024 ns: what 32 bits hold of them, 73 minutes,
 * is more than any call has to wait for a CPU. */
#define DELAY_SHIFT 10
/* Shorter delays are no news: every wakeup has some. */
#define LEAST_DELAY 10
#define MAX_TARGETS 4096
#define MAX_GROUPS 1024
#define WAKE_NS 20000000ULL /* at the least between two wakeups of a CPU's samples */

/* Settings, fixed when the programs are loaded. */
const volatile u32 ring_records = 1024; /* per CPU, a power of two */
const volatile u32 ring_cpus = 1;
const volatile u32 stack_bytes = 0;
const volatile u32 stack_every = 0;
const volatile u32 fail_every = 0;
const volatile u64 slow_ns = 10000000;
const volatile u32 share_records = 0; /* of a ring that one group may fill until the shares are renewed; zero is no bound */
const volatile u64 slow_gap_ms = 100;
const volatile u64 idle_calls[8] = {}; /* numbers of calls in which threads wait for work, as a bit set */
const volatile u64 stacks_half = 0;   /* bytes of the stack ring that calls may fill */
const volatile u32 include_children = 1;
const volatile u32 preempt_count_in = 0; /* where the kernel counts what interrupts a thread: PREEMPT_COUNT_* */

/* Set by user space while running. */
volatile u64 attached_at = 0;  /* a call that started earlier was not seen to: its start means nothing */
volatile u32 poll_no = 0;      /* counts the renewals of the shares, at polls that found the rings with room */
volatile u32 thread_stacks = 0; /* of calls, per thread and window; zero is no bound */
volatile u32 cpu_stacks = 0;    /* the same per CPU */
volatile u32 cpu_wakings = 0;   /* wakings told, per CPU and window */
volatile u32 max_copies = 0;   /* stack copies per snapshot */
volatile u32 odds_same = 0;    /* of a copy for a wait seen before; 2^32-1 is always */
volatile u32 odds_fresh = 0;   /* of a copy for a wait just seen */

/* Set by the programs. */
volatile u32 overflow = 0; /* threads of targets alive without a slot */
u32 row_count = 0;	   /* rows of this snapshot */
u32 rows_lost = 0;	   /* threads beyond MAX_ROWS in this snapshot */
u32 copies = 0;		   /* stacks copied in this snapshot */
u32 want_same = 0;	   /* waits seen before, without a stack */
u32 want_fresh = 0;	   /* waits just seen */
u32 copies_total = 0;	   /* stacks copied ever */
u64 looked_at = 0;	   /* begin of this snapshot */
u64 looked_before = 0;	   /* begin of the one before */
u32 clock_looks = 0;	   /* how often the scheduler's clock was compared with ours */
s64 clock_lag = 0;	   /* by how much it is behind, at most: the least of the last looks */
s64 clock_lag_before = 0;  /* the same of as many looks before those */

/*
 * What the hooks know of one thread, in one cache line: is it a target's, what
 * call is it in and since when. tid zero is free.
 */
struct slot {
	u32 tid;
	u32 tgid;
	u64 start; /* of the call it is in; zero is none */
	u16 nr;
	u16 group;	    /* whose share of the rings its calls take */
	u16 countdown;	    /* calls until the next stack */
	u16 fail_countdown; /* failed calls until the next stack */
	u32 slow_ms;	    /* when a slow call last got a stack */
	u8 spilled;	    /* some thread of this place lives in its second place; never cleared */
	u8 marks;	    /* MARK_* */
	u8 window;	    /* in which stacks_taken counts; see within_rate */
	u8 stacks_taken;
	u32 seen[SEEN_WORDS]; /* call numbers this thread has made, as a bit set */
	u32 delay; /* the thread's run_delay as it entered the call, in units of 2^DELAY_SHIFT ns */
};

#define MARK_NEWBORN (1 << 0) /* made by clone and not back from it yet */
#define MARK_WOKEN (1 << 1)   /* the stack of the call it is in is wanted: struct thread says for which waking */

/* A plain variable: the hooks find a place in it without a call and without the
 * detour of a map's key, which has to be in memory. */
struct slot slots[SLOTS] __attribute__((aligned(64))) = {};

/* The mask restates for older verifiers what is true of every place. */
static __always_inline struct slot *slot_at(u32 place)
{
	u64 i = place;

	asm volatile("%0 &= %1" : "+r"(i) : "i"(SLOTS - 1));
	return &slots[i];
}

/* One finished call. */
struct call_record {
	u64 start;
	u64 duration_nr; /* duration in the low 48 bits, number above */
	u32 tid_delay;	/* tid in the low 22 bits, the upper bits of the delay above */
	u32 tgid_flags; /* tgid in the low 22 bits, two bits of the delay, CALL_* in the highest eight */
	s32 ret;
	u32 stack;
};

/* No kernel has ids beyond this (PID_MAX_LIMIT). */
#define PID_BITS 22
/* The delay is a number of DELAY_FRACTION bits and an exponent, see pack_delay. */
#define DELAY_FRACTION 7

#define CALL_SAMPLED (1 << 0)	 /* stack: its turn, one in stack_every */
#define CALL_FIRST (1 << 1)	 /* stack: the thread's first call of this number */
#define CALL_SLOW (1 << 2)	 /* stack: took slow_ns or more */
#define CALL_FAILED (1 << 3)	 /* stack: failed, one in fail_every */
#define CALL_UNRETURNED (1 << 4) /* the thread ended inside the call */
#define CALL_STACK_LOST (1 << 5) /* a stack was due and could not be had */
#define CALL_CUT (1 << 6)	 /* entered before the attachment: start is that of the attachment */

/* Per CPU: where its ring is, and what it did not record. */
struct cpu_state {
	u64 produced;	      /* records ever written to this CPU's ring */
	u64 window; /* in which the next three count */
	u64 stacks_taken;
	u64 first_taken;
	u64 slow_taken;
	u64 passed;	      /* calls of threads that are no targets' */
	u64 unslotted;	      /* calls of target threads that have no slot */
	u64 stack_ring_full;  /* syscall stacks lost */
	u64 stack_unreadable; /* syscall stacks whose first byte could not be read */
	u64 sample_ring_full; /* on-CPU samples lost */
	u64 blocked_ring_full;/* snapshot stacks lost */
	u64 event_ring_full;  /* fork, exec, exit notices lost */
	u64 stack_seq;	      /* stacks of the hooks; the sampler and the snapshot count their own */
	u64 sample_seq;
	u64 threads_unslotted; /* target threads that found no free slot */
	u64 blocked_moved;     /* snapshot stacks whose thread woke meanwhile */
	u64 blocked_unreadable;
	u64 blocked_mm_busy; /* snapshot stacks left out as they would have had to wait */
	u64 woken;	 /* when a sample last woke the reader */
	u64 waker_start; /* of the call in which waker_tid has woken somebody */
	u32 waker_tid;
	u32 waker_stack;     /* the id that the stack of that call is to have */
	u64 waking_seq;
	u64 waking_window;   /* in which wakings counts */
	u32 wakings;	     /* in this window */
	u32 wakings_before;  /* in the one before */
	u64 wakings_told;    /* in this window */
	u64 wakings_skipped; /* beyond the bound */
	u64 waking_ring_full;
	u64 threads_woken;   /* anybody's: each pays for the program that tells wakings */
	u64 pad[4];
};

/* What one group did on one CPU. */
struct share {
	u32 poll;  /* in which taken counts */
	u32 taken; /* records written since that poll */
	u64 recorded;
	u64 skipped; /* calls beyond the share */
};

/* Task notices. */
#define EVENT_FORK 1
#define EVENT_EXEC 2
#define EVENT_EXIT 3
struct task_event {
	u32 type;
	u32 tgid;
	u32 tid;
	u32 other; /* fork: the parent's tgid; exit: 1 if the process is over; exec: the former tid */
	u64 time;
	u64 cpu_ns; /* exit: all CPU time of the thread */
	u64 delay_ns; /* exit: all its time runnable without a CPU */
};

/* A stack copy and what it was taken at. */
#define STACK_CALL 1
#define STACK_SAMPLE 2
#define STACK_BLOCKED 3
struct stack_event {
	u32 type;
	u32 id; /* zero when there are no bytes */
	u32 tgid;
	u32 tid;
	u64 time;
	u64 ip;
	u64 sp;
	u64 bp;
	u64 lr; /* arm64 */
	s32 nr; /* -1 is none */
	u32 len;
	u64 pages; /* a bit for each page from that of sp on: its bytes are here */
};

/* Who ended the wait of a thread. */
struct waking {
	u64 time;
	u64 start; /* of the call that waited */
	u32 tgid;
	u32 tid;
	u32 waker_tgid;
	u32 waker_tid;
	u32 stack; /* of the call that waited; may never come */
	u32 waker_stack; /* zero is none; may never come */
	u16 nr;
	u16 flags;
	char waker[16]; /* its name */
	u32 pad;
};
#define WAKING_INTERRUPT (1 << 0) /* the waker's thread was only interrupted by who did it */
#define WAKING_KERNEL (1 << 1)	  /* a thread of the kernel */
#define WAKING_UNINTERRUPTIBLE (1 << 2) /* it waited for storage, memory or a lock in the kernel */

struct scratch {
	struct stack_event h;
	u8 bytes[MAX_STACK + PAGE];
	u32 gap; /* pages in a row that hold nothing */
};
#define SCRATCH_CALL 0
#define SCRATCH_SAMPLE 1

/* A thread of a target, and what the snapshots remember of its wait. */
struct thread {
	u32 tgid;
	u32 slot;
	u64 switches; /* nvcsw + nivcsw when last seen blocked */
	u64 since;
	u32 stack;
	u32 blocked;
	u64 woken_start; /* of the call in which it was woken */
	u32 woken_stack; /* the id that the stack of that call is to have */
	u32 pad;
};
#define SLOT_NONE 0xffffffff
#define SLOT_PENDING 0xfffffffe

/* One thread in one snapshot. */
struct row {
	u32 tid;
	u32 tgid;
	u64 cpu_ns;
	u64 since; /* of the wait; zero when not blocked */
	u64 nvcsw;
	u64 nivcsw;
	s32 nr;
	u32 state;
	u32 stack;
	u32 flags;
	u64 delay_ns;	/* of the thread: all its time runnable without a CPU */
	u32 call_delay; /* the same inside the call since is the entry of, in units of 2^DELAY_SHIFT ns */
	u32 pad;
};
#define ROW_ON_CPU (1 << 0)
#define ROW_BLOCKED (1 << 1)
#define ROW_SINCE_EXACT (1 << 2) /* since is the call's entry, else when its CPU was given up, see asleep_since */
#define ROW_SAME_WAIT (1 << 3)
#define ROW_NEW_STACK (1 << 4)

#define ARRAY(name_, value_, entries_, flags_)      \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_ARRAY);   \
		__uint(map_flags, flags_);          \
		__uint(max_entries, entries_);      \
		__type(key, u32);                   \
		__type(value, value_);              \
	} name_ SEC(".maps")
#define HASH(name_, value_, entries_)               \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_HASH);    \
		__uint(max_entries, entries_);      \
		__type(key, u32);                   \
		__type(value, value_);              \
	} name_ SEC(".maps")
#define RINGBUF(name_, bytes_)                      \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, bytes_);        \
	} name_ SEC(".maps")

ARRAY(cpus, struct cpu_state, 1, BPF_F_MMAPABLE);     /* per CPU */
ARRAY(calls, struct call_record, 1024, BPF_F_MMAPABLE); /* ring_records per CPU */
ARRAY(shares, struct share, MAX_GROUPS, BPF_F_MMAPABLE); /* MAX_GROUPS per CPU */
ARRAY(rows, struct row, MAX_ROWS, BPF_F_MMAPABLE);
ARRAY(scratches, struct scratch, 2, 0);		       /* two per CPU */
ARRAY(snapshot_scratch, struct scratch, 1, 0);
#define TARGET_WAKES (1u << 31)	   /* its samples wake who reads the ring: what it runs is seen only while it does */
HASH(targets, u32, MAX_TARGETS);   /* tgid -> group, and TARGET_WAKES; who is forked has both */
HASH(threads, struct thread, SLOTS);
HASH(unplaced, u32, SLOTS);	   /* tid -> tgid of threads for which `threads` had no room */
HASH(claims, u32, SLOTS); /* slot index -> tid: insertion that needs no compare-and-swap */
RINGBUF(events, 262144);
RINGBUF(stacks, 8388608);
RINGBUF(wakings, 131072);

static __always_inline struct cpu_state *this_cpu(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&cpus, &cpu);
}

/* For counters that interrupts may share. */
#define count(field) __sync_fetch_and_add(&(field), 1)

static __always_inline void notify(u32 type, u32 tgid, u32 tid, u32 other, u64 cpu_ns, u64 delay_ns)
{
	struct task_event e = {
		.type = type, .tgid = tgid, .tid = tid, .other = other, .time = bpf_ktime_get_ns(), .cpu_ns = cpu_ns,
		.delay_ns = delay_ns
	};

	if (bpf_ringbuf_output(&events, &e, sizeof(e), BPF_RB_NO_WAKEUP)) {
		struct cpu_state *c = this_cpu();

		if (c)
			count(c->event_ring_full);
	}
}

#endif
