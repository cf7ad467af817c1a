/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who wakes whom: of threads of targets that have waited in a call for a
 * millisecond or more, who ended that. Attached only while the syscall hooks are,
 * which know since when a thread is in its call, and which take the stacks of
 * both, each as it returns from its call: here a lock of the scheduler is held.
 */
#ifndef PERFSCOPE_WAKING_H
#define PERFSCOPE_WAKING_H

#define LEAST_WAIT_NS 1000000

#if defined(__TARGET_ARCH_x86)
#define NR_FUTEX 202
#else
#define NR_FUTEX 98
#endif

#define PREEMPT_COUNT_UNKNOWN 0
#define PREEMPT_COUNT_VARIABLE 1 /* a variable per CPU */
#define PREEMPT_COUNT_HOT 2	 /* in a structure per CPU */
#define PREEMPT_COUNT_TASK 3	 /* in the running thread */
/* Non-maskable, hard and soft interrupts being served. A thread that has soft ones
 * disabled adds twice the last of these bits. */
#define INTERRUPT_MASK 0x00ff0100

#if defined(__TARGET_ARCH_x86)
/* User space puts the variable's number among the kernel's types in the place of this
 * one: the loader knows no variables of the kernel. */
#define PREEMPT_COUNT_PLACE 0x7072656d70740001

static __always_inline u32 preempt_count(void)
{
	void *variable;

	asm volatile("%0 = " "0x7072656d70740001" " ll" : "=r"(variable));
	if (preempt_count_in == PREEMPT_COUNT_HOT)
		return ((struct pcpu_hot *)bpf_this_cpu_ptr(variable))->preempt_count;
	return *(u32 *)bpf_this_cpu_ptr(variable);
}
#else
static __always_inline u32 preempt_count(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u32 n = 0;

	bpf_probe_read_kernel(&n, sizeof(n), &task->thread_info.preempt_count);
	return n;
}
#endif

static __always_inline bool is_kernel_thread(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u32 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), &task->flags);
	return flags & PF_KTHREAD;
}

/*
 * Is an interrupt being served? Where the count of them cannot be had: one of a thread
 * that is in no system call is, as in its own code it wakes nobody. One that comes while
 * the thread is in a call is then taken for the thread.
 */
static __always_inline bool in_interrupt(void)
{
	if (preempt_count_in)
		return preempt_count() & INTERRUPT_MASK;
	if (!(u32)bpf_get_current_pid_tgid())
		return true;
	if (!helper_exists(BPF_FUNC_get_current_task_btf) || !helper_exists(BPF_FUNC_task_pt_regs) || is_kernel_thread())
		return false;
	return REG_NR((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf())) < 0;
}

/* May one more be told in this window? When the last one had too many each has the
 * same chance, wherever in the window it falls; never more than twice the bound. */
static __always_inline bool waking_due(struct cpu_state *c, u64 now)
{
	u64 window = now >> WINDOW_SHIFT;
	u32 most = cpu_wakings;

	if (c->waking_window != window) {
		c->wakings_before = c->waking_window + 1 == window ? c->wakings : 0;
		c->waking_window = window;
		c->wakings = 0;
		c->wakings_told = 0;
	}
	c->wakings++;
	if (c->wakings_told >= 2 * most)
		return false;
	if (c->wakings_before > most && bpf_get_prandom_u32() % c->wakings_before >= most)
		return false;
	c->wakings_told++;
	return true;
}

/* The id for the stack of the call that the waker is in; zero when it is in none
 * that was seen to begin. Several that it wakes in one call share it. */
static __always_inline u32 waker_stack(struct cpu_state *c, u32 cpu)
{
	struct slot *s = slot_of(this_tid());
	u64 start;

	if (!s)
		return 0;
	start = s->start;
	if (start <= attached_at)
		return 0;
	if (c->waker_tid != s->tid || c->waker_start != start) {
		c->waker_tid = s->tid;
		c->waker_start = start;
		c->waker_stack = stack_id(++c->waking_seq, cpu, STACK_WAKING);
	}
	return c->waker_stack;
}

/* The same for that of the thread that is woken. */
static __always_inline u32 woken_stack(struct cpu_state *c, u32 cpu, struct slot *s, u64 start)
{
	u32 tid = s->tid;
	struct thread *th = bpf_map_lookup_elem(&threads, &tid);

	if (!th)
		return 0;
	if (!(s->marks & MARK_WOKEN) || th->woken_start != start) {
		th->woken_start = start;
		th->woken_stack = stack_id(++c->waking_seq, cpu, STACK_WAKING);
		s->marks |= MARK_WOKEN;
	}
	return th->woken_stack;
}

#define TASK_UNINTERRUPTIBLE 2

static __noinline int tell_waking(struct slot *s, u64 start, u32 state)
{
	u64 now = bpf_ktime_get_ns(), id;
	u32 cpu = bpf_get_smp_processor_id();
	struct cpu_state *c = bpf_map_lookup_elem(&cpus, &cpu);
	struct waking w = {};

	if (!c || !s || now - start < LEAST_WAIT_NS)
		return 0;
	w.nr = s->nr;
	if (in_interrupt()) {
		/* A call that waits for work had it from the network or the clock. */
		if (w.nr != NR_FUTEX && is_idle(w.nr))
			return 0;
		w.flags |= WAKING_INTERRUPT;
	} else if (is_kernel_thread()) {
		w.flags |= WAKING_KERNEL;
	}
	if (!waking_due(c, now)) {
		count(c->wakings_skipped);
		return 0;
	}
	if (state & TASK_UNINTERRUPTIBLE)
		w.flags |= WAKING_UNINTERRUPTIBLE;
	id = bpf_get_current_pid_tgid();
	w.time = now;
	w.start = start;
	w.tgid = s->tgid;
	w.tid = s->tid;
	w.stack = woken_stack(c, cpu, s, start);
	if (!(w.flags & WAKING_INTERRUPT)) {
		w.waker_tgid = id >> 32;
		w.waker_tid = (u32)id;
		w.waker_stack = waker_stack(c, cpu);
		bpf_get_current_comm(w.waker, sizeof(w.waker));
	}
	if (bpf_ringbuf_output(&wakings, &w, sizeof(w), BPF_RB_NO_WAKEUP))
		count(c->waking_ring_full);
	return 0;
}

SEC("tp_btf/sched_waking")
int sched_waking(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct slot *s = slot_of(task->pid);
	struct cpu_state *c = this_cpu();
	u64 start;

	if (c)
		c->threads_woken++; /* a lock of the scheduler is held, with interrupts off */
	if (!s)
		return 0;
	start = s->start;
	if (start <= attached_at)
		return 0;
	return tell_waking(s, start, task_state(task));
}

#endif
