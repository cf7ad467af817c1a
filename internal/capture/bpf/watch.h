/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The watch, which needs no syscall hook: samples of threads on a CPU, and
 * snapshots of all threads of the targets. */
#ifndef PERFSCOPE_WATCH_H
#define PERFSCOPE_WATCH_H

static __always_inline int take_sample(bool stacks_on)
{
	u64 id = bpf_get_current_pid_tgid(), wakeup = BPF_RB_NO_WAKEUP;
	u32 tgid = id >> 32, cpu, i, len = 0, *target;
	struct cpu_state *c;
	struct scratch *sc;

	target = tgid ? bpf_map_lookup_elem(&targets, &tgid) : 0;
	if (!target)
		return 0;
	cpu = bpf_get_smp_processor_id();
	i = cpu * 2 + SCRATCH_SAMPLE;
	sc = bpf_map_lookup_elem(&scratches, &i);
	c = bpf_map_lookup_elem(&cpus, &cpu);
	if (!sc || !c)
		return 0;
	put_header(sc, STACK_SAMPLE, tgid, (u32)id, bpf_ktime_get_ns());
	if (stacks_on) {
		struct task_struct *task = bpf_get_current_task_btf();
		struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

		put_regs(&sc->h, regs);
		sc->h.nr = REG_NR(regs);
		len = copy_current(i, sc->h.sp);
		if (len)
			sc->h.id = stack_id(c->sample_seq++, cpu, STACK_SAMPLE);
	}
	if (*target & TARGET_WAKES && sc->h.time - c->woken >= WAKE_NS) {
		c->woken = sc->h.time;
		wakeup = BPF_RB_FORCE_WAKEUP;
	}
	if (send_stack(sc, len, wakeup))
		count(c->sample_ring_full);
	return 0;
}

SEC("perf_event")
int sample_stack(void *ctx)
{
	return take_sample(true);
}

SEC("perf_event")
int sample(void *ctx)
{
	return take_sample(false);
}

static __always_inline u32 task_state(struct task_struct *task)
{
	if (field_exists(task->__state))
		return task->__state;
	return (u32)((struct task_struct___before_5_14 *)task)->state;
}

#define RWSEM_WRITER_LOCKED (1 << 0)
#define RWSEM_FLAG_WAITERS (1 << 1)
#define RWSEM_FLAG_HANDOFF (1 << 2)

/*
 * Would reading this thread's memory wait? A copy takes mmap_lock for reading,
 * behind whoever holds it for writing, and behind whoever waits to: a process
 * stuck there would hold up the snapshot of all the others. It may still be
 * locked a moment later; user space is ready for that.
 */
static __always_inline bool memory_busy(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;

	/* Kernels with PREEMPT_RT build the lock in another way. */
	if (!mm || !field_exists(mm->mmap_lock.count.counter))
		return false;
	return mm->mmap_lock.count.counter & (RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS | RWSEM_FLAG_HANDOFF);
}

/* Copies the stack of a thread that sleeps; zero when that failed, counted. */
static __always_inline u32 blocked_stack(struct task_struct *task, struct pt_regs *regs, u64 switches, s32 nr,
					 u64 now)
{
	struct cpu_state *c = this_cpu();
	u32 zero = 0, len;
	struct scratch *sc = bpf_map_lookup_elem(&snapshot_scratch, &zero);

	if (!sc || !c)
		return 0;
	put_header(sc, STACK_BLOCKED, task->tgid, task->pid, now);
	put_regs(&sc->h, regs);
	sc->h.nr = nr;
	len = copy_other(sc, sc->h.sp, task);
	if (!len) {
		count(c->blocked_unreadable);
		return 0;
	}
	if (task->on_cpu || task->nvcsw + task->nivcsw != switches) {
		count(c->blocked_moved);
		return 0;
	}
	sc->h.id = stack_id(copies_total++, 0, STACK_BLOCKED);
	if (send_stack(sc, len, BPF_RB_NO_WAKEUP)) {
		count(c->blocked_ring_full);
		return 0;
	}
	return sc->h.id;
}

/* Looks of which the least difference of the clocks is taken: they drift. */
#define LOOKS_PER_LAG 16

/*
 * The scheduler's clock has another zero than ours. Whoever runs was given its CPU
 * before now, this program's thread often just before: the least that lies between is
 * what the clocks differ by, or a little more.
 */
static __always_inline void compare_clocks(u64 now)
{
	struct task_struct *me;
	s64 lag;

	if (!helper_exists(BPF_FUNC_get_current_task_btf))
		return;
	me = bpf_get_current_task_btf();
	if (!field_exists(me->sched_info.last_arrival))
		return;
	lag = (s64)(now - me->sched_info.last_arrival);
	if (clock_looks % LOOKS_PER_LAG == 0) {
		clock_lag_before = clock_looks ? clock_lag : lag;
		clock_lag = lag;
	} else if (lag < clock_lag) {
		clock_lag = lag;
	}
	clock_looks++;
}

/*
 * Since when a thread that sleeps has done so: it was given a CPU, ran, and gave it
 * up. Never before the last snapshot, which did not see this wait, nor later than now;
 * now where the kernel does not tell.
 */
static __always_inline u64 asleep_since(struct task_struct *task, u64 now)
{
	u64 since;

	if (!field_exists(task->se.prev_sum_exec_runtime) || !field_exists(task->sched_info.last_arrival) || !clock_looks)
		return now;
	since = task->sched_info.last_arrival + (u64)(clock_lag < clock_lag_before ? clock_lag : clock_lag_before) +
		task->se.sum_exec_runtime - task->se.prev_sum_exec_runtime;
	if ((s64)(since - looked_before) < 0)
		since = looked_before;
	return (s64)(since - now) < 0 ? since : now;
}

static __always_inline int look_at(struct bpf_iter__task *ctx, bool stacks_on)
{
	struct task_struct *task = ctx->task;
	u32 tid, tgid, i, flags = 0, stack = 0, state, call_delay = 0;
	struct pt_regs *regs = 0;
	struct thread *th;
	u64 now, switches, since = 0;
	struct slot *s;
	struct row *r;
	s32 nr = NO_CALL;

	if (!task)
		return 0;
	tgid = task->tgid;
	if (!bpf_map_lookup_elem(&targets, &tgid) || task->exit_state)
		return 0;
	tid = task->pid;
	th = bpf_map_lookup_elem(&threads, &tid);
	if (!th) {
		follow(task); /* whatever was missed heals here */
		th = bpf_map_lookup_elem(&threads, &tid);
	}
	i = row_count;
	if (i >= MAX_ROWS) {
		rows_lost++;
		return 0;
	}
	now = bpf_ktime_get_ns();
	if (!i) {
		looked_before = looked_at;
		looked_at = now;
		compare_clocks(now);
	}
	state = task_state(task);
	switches = task->nvcsw + task->nivcsw;
	if (task->on_cpu)
		flags |= ROW_ON_CPU;
	else if (state)
		flags |= ROW_BLOCKED;
	if (stacks_on && !(flags & ROW_ON_CPU)) {
		/* Of a thread on a CPU they would be those of its last entry. */
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		nr = REG_NR(regs);
	}
	if (th && (flags & ROW_BLOCKED)) {
		if (th->blocked && th->switches == switches) {
			flags |= ROW_SAME_WAIT;
		} else {
			th->blocked = 1;
			th->switches = switches;
			th->since = asleep_since(task, now);
			th->stack = 0;
		}
		since = th->since;
		s = slot_of(tid);
		if (s && s->start > attached_at && (nr < 0 || s->nr == (u16)nr)) {
			since = s->start;
			nr = s->nr;
			if (helper_exists(BPF_FUNC_get_current_task_btf))
				call_delay = (u32)(run_delay(task) >> DELAY_SHIFT) - s->delay;
			flags |= ROW_SINCE_EXACT;
		}
		stack = th->stack;
		if (stacks_on && !stack && regs) {
			u32 odds = odds_fresh;

			if (flags & ROW_SAME_WAIT) {
				want_same++;
				odds = odds_same;
			} else {
				want_fresh++;
			}
			if (copies < max_copies && bpf_get_prandom_u32() <= odds) {
				if (memory_busy(task)) {
					struct cpu_state *c = this_cpu();

					if (c)
						count(c->blocked_mm_busy);
				} else {
					copies++;
					stack = blocked_stack(task, regs, switches, nr, now);
				}
				th = bpf_map_lookup_elem(&threads, &tid);
				if (th && stack) {
					th->stack = stack;
					flags |= ROW_NEW_STACK;
				}
			}
		}
	} else if (th) {
		th->blocked = 0;
		th->stack = 0;
	} else if (flags & ROW_BLOCKED) {
		since = now; /* the table is full: nothing is known of earlier */
	}
	r = bpf_map_lookup_elem(&rows, &i);
	if (!r)
		return 0;
	row_count = i + 1;
	r->tid = tid;
	r->tgid = tgid;
	r->cpu_ns = task->se.sum_exec_runtime;
	r->since = since;
	r->nvcsw = task->nvcsw;
	r->nivcsw = task->nivcsw;
	r->nr = nr;
	r->state = state;
	r->stack = stack;
	r->flags = flags;
	r->delay_ns = run_delay(task);
	r->call_delay = call_delay;
	return 0;
}

SEC("iter.s/task")
int snapshot_stack(struct bpf_iter__task *ctx)
{
	return look_at(ctx, true);
}

SEC("iter/task")
int snapshot(struct bpf_iter__task *ctx)
{
	return look_at(ctx, false);
}

#endif
