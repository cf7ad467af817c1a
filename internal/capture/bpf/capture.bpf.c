// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * What PerfScope runs in the kernel: the two syscall hooks, the hooks that
 * follow threads, in watch.h the sampler and the task snapshot, in waking.h
 * who wakes whom, and in sockets.h the sockets that user space cannot ask for. User
 * space decides which of them are loaded and attached; see load_linux.go.
 */
#include "vmlinux.h"
#include "helpers.h"
#include "maps.h"
#include "threads.h"
#include "stacks.h"
#include "watch.h"
#include "payload.h"
#include "waking.h"
#include "sockets.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* -- syscalls ------------------------------------------------------------ */

SEC("tp_btf/sys_enter")
int sys_enter(u64 *ctx)
{
	struct slot *s = slot_of(this_tid());

	if (!s) {
		/* They pay for the hooks, too: user space reckons with them. */
		struct cpu_state *c = this_cpu();

		if (c)
			c->passed++;
		return 0;
	}
	s->nr = (u16)ctx[1];
	s->delay = this_delay();
	s->start = bpf_ktime_get_ns();
	return 0;
}

/*
 * A delay as a number of twelve bits, zero when it is not worth telling: up to
 * 127 units exactly, above with the leading bit implied, rounded down by less than
 * one part in 128. The record has no more room, and another one would not be read
 * with it for certain.
 */
static __noinline u32 pack_delay(u32 units)
{
	u32 shift = 0, left = units;

	if (left >> 16) {
		shift = 16;
		left >>= 16;
	}
	if (left >> 8) {
		shift += 8;
		left >>= 8;
	}
	if (left >> 4) {
		shift += 4;
		left >>= 4;
	}
	if (left >> 2) {
		shift += 2;
		left >>= 2;
	}
	shift += left >> 1;
	if (shift < DELAY_FRACTION)
		return units;
	shift -= DELAY_FRACTION;
	return (shift + 1) << DELAY_FRACTION | (units >> shift & ((1 << DELAY_FRACTION) - 1));
}

/* Writes one record into this CPU's ring, over the oldest. The tracepoints run
 * with preemption off, so nobody else writes to this ring meanwhile. */
static __always_inline void emit(struct cpu_state *c, u32 cpu, struct slot *s, u64 now, u32 delay, s64 ret,
				 u32 flags, u32 stack)
{
	u64 pos = c->produced;
	u32 i = cpu * ring_records + ((u32)pos & (ring_records - 1));
	struct call_record *r = bpf_map_lookup_elem(&calls, &i);
	u64 duration = now - s->start;

	if (!r)
		return;
	if (unlikely(duration >> 48))
		duration = (1ULL << 48) - 1;
	if (unlikely(ret > 0x7fffffffLL))
		ret = 0x7fffffff;
	if (unlikely(ret < -0x7fffffffLL))
		ret = -0x7fffffff;
	r->start = s->start;
	r->duration_nr = duration | (u64)s->nr << 48;
	delay = unlikely(delay >= LEAST_DELAY) ? pack_delay(delay) : 0;
	r->tid_delay = s->tid | delay >> 2 << PID_BITS;
	r->tgid_flags = s->tgid | (delay & 3) << PID_BITS | flags << 24;
	r->ret = (s32)ret;
	r->stack = stack;
#if defined(__TARGET_ARCH_arm64)
	/* With its result used this is the fetching form, which orders the
	 * record before the position. */
	if (__sync_fetch_and_add(&c->produced, 1) != pos)
		count(c->event_ring_full);
#else
	barrier();
	*(volatile u64 *)&c->produced = pos + 1;
#endif
}

/* A gap of `every` on average and never the same: a fixed one would always
 * meet the same call of a program that repeats itself. */
static __always_inline u16 next_gap(u32 every)
{
	if (every <= 1)
		return 0;
	return (u16)(bpf_get_prandom_u32() % (2 * every - 1));
}

/* The numbers beyond the set share the bits of calls that are hardly ever made. */
static __always_inline u32 seen_bit(u32 nr)
{
	u32 bit = (nr ^ (nr >> 8 << 7)) & 255;

	return bit < 32 * SEEN_WORDS ? bit : bit ^ 64;
}

/*
 * A busy program makes a million calls a second, and one in sixteen of those
 * is still far more stacks than tell anything: so many per thread and per CPU
 * in each window are enough for shares, and the target does not pay for more. First and slow calls have a budget of their own, per CPU:
 * two thousand threads that sleep 50 ms at a time are all slow.
 *
 * Returns why this call gets a stack: CALL_* flags, zero is that it does not.
 */
static __always_inline u32 stack_due(struct cpu_state *c, struct slot *s, u64 now, s64 ret)
{
	u32 why = 0, ms, bit = seen_bit(s->nr), mask = 1U << (bit & 31);
	u64 window = now >> WINDOW_SHIFT;
	u32 word = bit >> 5;
	u32 of_thread = thread_stacks, of_cpu = cpu_stacks;
	bool bounded = of_thread, first;

	if (c->window != window) {
		c->window = window;
		c->stacks_taken = 0;
		c->first_taken = 0;
		c->slow_taken = 0;
	}
	if (!s->countdown) {
		s->countdown = next_gap(stack_every);
		why |= CALL_SAMPLED;
	} else {
		s->countdown--;
	}
	if (unlikely(ret < 0 && ret >= -4095)) {
		if (!s->fail_countdown) {
			s->fail_countdown = next_gap(fail_every);
			why |= CALL_FAILED;
		} else {
			s->fail_countdown--;
		}
	}
	if (why && bounded) {
		if (s->window != (u8)window) {
			s->window = (u8)window;
			s->stacks_taken = 0;
		}
		if (s->stacks_taken >= of_thread || c->stacks_taken >= of_cpu) {
			why = 0;
		} else {
			s->stacks_taken++;
			c->stacks_taken++;
		}
	}
	asm volatile("%0 &= 7" : "+r"(word));
	if (word >= SEEN_WORDS)
		return why;
	first = !(s->seen[word] & mask);
	/* Beyond the budget the thread's next call of this number is its first. */
	if (unlikely(first && (!bounded || c->first_taken < of_cpu / 2))) {
		c->first_taken++;
		why |= CALL_FIRST;
	}
	/* Long waits for work are no news after the first, and the snapshots show them. */
	if (unlikely(now - s->start >= slow_ns) && (first || !is_idle(s->nr))) {
		ms = (u32)(now / 1000000);
		if (ms - s->slow_ms >= slow_gap_ms && (!bounded || c->slow_taken < of_cpu / 2)) {
			c->slow_taken++;
			s->slow_ms = ms;
			why |= CALL_SLOW;
		}
	}
	if (first && why)
		s->seen[word] |= mask;
	return why;
}

/* Copies the caller's stack under an id, or the next one if that is zero; zero when
 * that failed, counted. */
static __always_inline u32 call_stack(struct cpu_state *c, u32 cpu, struct slot *s, struct pt_regs *regs, u64 now,
				      u32 id)
{
	u32 i = cpu * 2 + SCRATCH_CALL, len;
	struct scratch *sc = bpf_map_lookup_elem(&scratches, &i);

	if (!sc)
		return 0;
	/* Samples and blocked threads are few and tell most: half is theirs. */
	if (bpf_ringbuf_query(&stacks, BPF_RB_AVAIL_DATA) > stacks_half) {
		count(c->stack_ring_full);
		return 0;
	}
	put_header(sc, STACK_CALL, s->tgid, s->tid, now);
	put_regs(&sc->h, regs);
	sc->h.nr = s->nr;
	len = copy_current(i, sc->h.sp);
	if (!len) {
		count(c->stack_unreadable);
		return 0;
	}
	sc->h.id = id ? id : stack_id(c->stack_seq++, cpu, STACK_CALL);
	if (send_stack(sc, len, BPF_RB_NO_WAKEUP)) {
		count(c->stack_ring_full);
		return 0;
	}
	return sc->h.id;
}

/*
 * May this group write one more record? One that makes a million calls a second
 * would else push those of all others out of the ring. Group 0 is not bounded.
 */
static __always_inline bool within_share(u32 cpu, struct slot *s)
{
	u32 i = cpu * MAX_GROUPS + (s->group & (MAX_GROUPS - 1)), now = poll_no;
	struct share *sh = bpf_map_lookup_elem(&shares, &i);

	if (!sh)
		return true;
	if (sh->poll != now) {
		sh->poll = now;
		sh->taken = 0;
	}
	if (unlikely(share_records && s->group && sh->taken >= share_records)) {
		sh->skipped++;
		return false;
	}
	sh->taken++;
	sh->recorded++;
	return true;
}

/* Takes the stacks of a call that a waking wants: who waited in it, who woke another. */
static __noinline int waking_stacks(struct cpu_state *c, struct slot *s, struct pt_regs *regs, u64 now)
{
	u32 cpu = bpf_get_smp_processor_id(), tid;
	struct thread *th;

	if (!c || !s || !regs)
		return 0;
	if (c->waker_tid == s->tid) {
		c->waker_tid = 0;
		if (c->waker_start == s->start)
			call_stack(c, cpu, s, regs, now, c->waker_stack);
	}
	if (s->marks & MARK_WOKEN) {
		s->marks &= ~MARK_WOKEN;
		tid = s->tid;
		th = bpf_map_lookup_elem(&threads, &tid);
		if (th && th->woken_start == s->start)
			call_stack(c, cpu, s, regs, now, th->woken_stack);
	}
	return 0;
}

/* What a call that a followed thread returns from is worth. */
static __always_inline int record(u64 *ctx, struct slot *s, bool stacks_on, bool contexts_on)
{
	/* First the clock: the processor waits for all that comes before it. */
	u64 now = bpf_ktime_get_ns();
	u32 cpu = bpf_get_smp_processor_id(), flags = 0, stack = 0, delay = this_delay() - s->delay;
	struct cpu_state *c = bpf_map_lookup_elem(&cpus, &cpu);
	s64 ret = (s64)ctx[1];

	if (!c)
		return 0;
	if (unlikely(s->start <= attached_at)) {
		s32 nr = REG_NR((struct pt_regs *)ctx[0]);

		s->start = 0;
		/* The new thread's side of clone is nobody's call, and the end
		 * of a signal handler none that was entered. */
		if (s->marks & MARK_NEWBORN || nr < 0) {
			s->marks = 0;
			return 0;
		}
		s->nr = (u16)nr;
		s->start = attached_at;
		delay = 0; /* what it was at the entry is not known */
		flags = CALL_CUT;
	}
	if (contexts_on)
		take_context(cpu, s, (struct pt_regs *)ctx[0], now, ret);
	if (!within_share(cpu, s)) {
		s->start = 0;
		return 0;
	}
	if (stacks_on && unlikely(c->waker_tid == s->tid || s->marks & MARK_WOKEN))
		waking_stacks(c, s, (struct pt_regs *)ctx[0], now);
	if (stacks_on && !flags) {
		flags = stack_due(c, s, now, ret);
		if (flags) {
			stack = call_stack(c, cpu, s, (struct pt_regs *)ctx[0], now, 0);
			if (!stack)
				flags |= CALL_STACK_LOST;
		}
	}
	emit(c, cpu, s, now, delay, ret, flags, stack);
	s->start = 0;
	return 0;
}

/* Apart, so that a call that is not recorded saves no registers for these: it
 * is every process's, a recorded one only a target's. */
static __noinline int record_call(u64 *ctx, struct slot *s)
{
	return record(ctx, s, false, false);
}

static __noinline int record_stack(u64 *ctx, struct slot *s)
{
	return record(ctx, s, true, false);
}

static __noinline int record_context(u64 *ctx, struct slot *s)
{
	return record(ctx, s, stack_every && stack_bytes, true);
}

static __noinline int unslotted(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct cpu_state *c = this_cpu();

	if (c && bpf_map_lookup_elem(&targets, &tgid))
		c->unslotted++;
	return 0;
}

static __always_inline int call_returned(u64 *ctx, bool stacks_on, bool contexts_on)
{
	struct slot *s = slot_of(this_tid());

	if (s && contexts_on)
		return record_context(ctx, s);
	if (s)
		return stacks_on ? record_stack(ctx, s) : record_call(ctx, s);
	if (unlikely(overflow))
		return unslotted();
	return 0;
}

SEC("tp_btf/sys_exit")
int sys_exit(u64 *ctx)
{
	return call_returned(ctx, false, false);
}

/* The same with stacks; apart, as a kernel may refuse to read user memory. */
SEC("tp_btf/sys_exit")
int sys_exit_stack(u64 *ctx)
{
	return call_returned(ctx, true, false);
}

/* The same, and what is asked for of payloads: see payload.h. */
SEC("tp_btf/sys_exit")
int sys_exit_context(u64 *ctx)
{
	return call_returned(ctx, false, true);
}

/* -- following threads ---------------------------------------------------- */

SEC("tp_btf/task_newtask")
int task_newtask(u64 *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx[0];
	u32 parent = bpf_get_current_pid_tgid() >> 32;
	u32 *cookie = bpf_map_lookup_elem(&targets, &parent);
	struct slot *s;
	u32 tgid, value;

	if (!cookie)
		return 0;
	tgid = child->tgid;
	if (tgid != parent) {
		if (!include_children)
			return 0;
		value = *cookie;
		bpf_map_update_elem(&targets, &tgid, &value, BPF_ANY);
	}
	follow(child);
	s = slot_of(child->pid);
	if (s)
		s->marks = MARK_NEWBORN;
	notify(EVENT_FORK, tgid, child->pid, parent, 0, 0);
	return 0;
}

/* A thread that calls execve takes over its process's id: its slot moves. */
SEC("tp_btf/sched_process_exec")
int sched_process_exec(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	u32 old_tid = (u32)ctx[1], tid = task->pid, tgid = task->tgid;
	struct slot *from, *to;

	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	if (old_tid != tid) {
		u64 start = 0;
		u32 delay = 0;
		u16 nr = 0;

		from = slot_of(old_tid);
		if (from) {
			start = from->start;
			nr = from->nr;
			delay = from->delay;
		}
		thread_remove(old_tid);
		thread_add(tid, tgid);
		to = slot_of(tid);
		if (to && start) {
			to->nr = nr;
			to->delay = delay;
			to->start = start;
		}
	}
	notify(EVENT_EXEC, tgid, tid, old_tid, 0, 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	u32 tid = task->pid, tgid = task->tgid, cpu, over;
	struct slot *s = slot_of(tid);
	struct cpu_state *c;

	if (s && s->start > attached_at) {
		cpu = bpf_get_smp_processor_id();
		c = bpf_map_lookup_elem(&cpus, &cpu);
		if (c)
			emit(c, cpu, s, bpf_ktime_get_ns(), this_delay() - s->delay, 0, CALL_UNRETURNED, 0);
	}
	over = task->signal->live.counter == 0;
	if (!thread_remove(tid) && !bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	if (over)
		bpf_map_delete_elem(&targets, &tgid);
	notify(EVENT_EXIT, tgid, tid, over, task->se.sum_exec_runtime, run_delay(task));
	return 0;
}

SEC("iter/task")
int seed_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u32 tgid;

	if (!task)
		return 0;
	tgid = task->tgid;
	if (bpf_map_lookup_elem(&targets, &tgid))
		follow(task);
	return 0;
}

/* Lets the threads of all processes go that are no targets any more. */
SEC("iter/task")
int forget_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u32 tgid;

	if (!task)
		return 0;
	tgid = task->tgid;
	if (!bpf_map_lookup_elem(&targets, &tgid))
		thread_remove(task->pid);
	return 0;
}
