/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which threads are followed: the table of threads and their slots. */
#ifndef PERFSCOPE_THREADS_H
#define PERFSCOPE_THREADS_H

#define PF_EXITING 0x4
#define PF_KTHREAD 0x200000

/* The running thread's id; from its task, where the kernel (5.11 and later)
 * hands that out, which is the shorter way. */
static __always_inline u32 this_tid(void)
{
	if (helper_exists(BPF_FUNC_get_current_task_btf))
		return bpf_get_current_task_btf()->pid;
	return (u32)bpf_get_current_pid_tgid();
}

/* The time a thread was runnable and had no CPU, ns; zero where the kernel does
 * not count it. That of the running thread is complete. */
static __always_inline u64 run_delay(struct task_struct *task)
{
	return field_exists(task->sched_info.run_delay) ? task->sched_info.run_delay : 0;
}

/* The same of the running thread in units of 2^DELAY_SHIFT ns; zero where the
 * kernel does not hand out its task. */
static __always_inline u32 this_delay(void)
{
	if (helper_exists(BPF_FUNC_get_current_task_btf))
		return run_delay(bpf_get_current_task_btf()) >> DELAY_SHIFT;
	return 0;
}

static __always_inline bool is_idle(u32 nr)
{
	u32 word = nr >> 6;

	if (word > 7)
		return false;
	asm volatile("%0 &= 7" : "+r"(word));
	return idle_calls[word] >> (nr & 63) & 1;
}

/* Windows of 2^24 ns, 17 ms, in which what is copied and told is bounded. */
#define WINDOW_SHIFT 24

static __always_inline u32 first_place(u32 tid)
{
	return tid & (SLOTS - 1);
}

/* Unrelated to the first, so that two threads that share the first place
 * hardly ever share this one too. */
static __always_inline u32 second_place(u32 tid)
{
	return (tid * 0x9E3779B1u) >> (32 - SLOT_BITS);
}

static __always_inline struct slot *slot_of(u32 tid)
{
	struct slot *s = slot_at(first_place(tid));

	if (s->tid == tid)
		return s;
	if (likely(!s->spilled))
		return 0;
	s = slot_at(second_place(tid));
	return s->tid == tid ? s : 0;
}

static __always_inline void release_slot(u32 tid, u32 i)
{
	struct slot *s = slot_at(i);

	if (s->tid == tid) {
		s->start = 0;
		s->tid = 0;
	}
	bpf_map_delete_elem(&claims, &i);
}

/* A thread that had no room has got some, or needs none any more. */
static __always_inline int placed(u32 tid)
{
	if (likely(!overflow) || bpf_map_delete_elem(&unplaced, &tid))
		return 0;
	__sync_fetch_and_add(&overflow, -1);
	return 1;
}

/* Lets a thread go. Deleting its entry decides who, of several, does it. */
static __noinline int thread_remove(u32 tid)
{
	struct thread *th = bpf_map_lookup_elem(&threads, &tid);
	u32 i;

	if (!th)
		return placed(tid);
	i = th->slot;
	if (bpf_map_delete_elem(&threads, &tid))
		return 0;
	if (i < SLOTS)
		release_slot(tid, i);
	else if (i == SLOT_NONE)
		__sync_fetch_and_add(&overflow, -1);
	return 1;
}

static __always_inline void no_slot(void)
{
	struct cpu_state *c = this_cpu();

	__sync_fetch_and_add(&overflow, 1);
	if (c)
		count(c->threads_unslotted);
}

/* Follows a thread; does nothing if it is followed already. */
static __noinline int thread_add(u32 tid, u32 tgid)
{
	struct thread fresh = { .tgid = tgid, .slot = SLOT_PENDING };
	struct thread *th;
	struct slot *s;
	u32 i = first_place(tid), *group;

	if (bpf_map_update_elem(&threads, &tid, &fresh, BPF_NOEXIST)) {
		/* Full: its calls are counted by its tgid from now on. The
		 * snapshots try again, and each thread counts once. */
		if (!bpf_map_lookup_elem(&threads, &tid) &&
		    !bpf_map_update_elem(&unplaced, &tid, &tgid, BPF_NOEXIST))
			no_slot();
		return 0;
	}
	placed(tid);
	if (bpf_map_update_elem(&claims, &i, &tid, BPF_NOEXIST)) {
		slot_at(i)->spilled = 1;
		i = second_place(tid);
		if (bpf_map_update_elem(&claims, &i, &tid, BPF_NOEXIST)) {
			no_slot();
			th = bpf_map_lookup_elem(&threads, &tid);
			if (th)
				th->slot = SLOT_NONE;
			return 0;
		}
	}
	s = slot_at(i);
	s->start = 0;
	s->tgid = tgid;
	group = bpf_map_lookup_elem(&targets, &tgid);
	s->group = group ? *group : 0;
	s->countdown = 0;
	s->fail_countdown = 0;
	s->slow_ms = 0;
	s->marks = 0;
	for (u32 word = 0; word < SEEN_WORDS; word++)
		s->seen[word] = 0;
	barrier();
	s->tid = tid;
	th = bpf_map_lookup_elem(&threads, &tid);
	if (!th) {
		/* It ended meanwhile and its end found no slot to free. */
		release_slot(tid, i);
		return 0;
	}
	th->slot = i;
	return 1;
}

/* Follows a thread that others may be ending or letting go at this moment:
 * whoever comes second cleans up. */
static __always_inline void follow(struct task_struct *task)
{
	u32 tid = task->pid, tgid = task->tgid;

	thread_add(tid, tgid);
	if ((task->flags & PF_EXITING) || !bpf_map_lookup_elem(&targets, &tgid))
		thread_remove(tid);
}

#endif
