/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The few kernel types the programs look into, cut down by hand to the fields
 * they use. CO-RE relocates every access to the running kernel's layout, so
 * order and size here mean nothing; names do.
 */
#ifndef PERFSCOPE_VMLINUX_H
#define PERFSCOPE_VMLINUX_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
typedef _Bool bool;
enum { false = 0, true = 1 };

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_MMAPABLE = 1 << 10, BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };

/* Of the kernel's list only what is asked for; see helper_exists. */
enum bpf_func_id { BPF_FUNC_get_current_task_btf = 158, BPF_FUNC_task_pt_regs = 175 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bp;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 pstate;
};
struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			u64 regs[31];
			u64 sp;
			u64 pc;
			u64 pstate;
		};
	};
	u64 orig_x0;
	s32 syscallno;
};
#else
#error "unsupported target architecture"
#endif

typedef struct {
	int counter;
} atomic_t;

struct sched_entity {
	u64 sum_exec_runtime;
	u64 prev_sum_exec_runtime; /* when it was last given a CPU */
};

struct sched_info {
	u64 run_delay;	  /* ns it was runnable without a CPU */
	u64 last_arrival; /* when it was last given a CPU, by the scheduler's clock */
};

struct signal_struct {
	atomic_t live;
};

typedef struct {
	s64 counter;
} atomic64_t;

struct rw_semaphore {
	atomic64_t count;
};

struct mm_struct {
	struct rw_semaphore mmap_lock;
	unsigned long start_stack;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

#if defined(__TARGET_ARCH_x86)
struct thread_struct {
	unsigned long fsbase;
};
#else
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};
#endif

#if defined(__TARGET_ARCH_x86)
/* From 6.2 to 6.13. */
struct pcpu_hot {
	int preempt_count;
};
#else
struct thread_info {
	int preempt_count;
};
#endif

struct task_struct {
#if defined(__TARGET_ARCH_arm64)
	struct thread_info thread_info;
#endif
	unsigned int __state;
	unsigned int flags;
	int on_cpu;
	struct sched_entity se;
	int exit_state;
	s32 pid;
	s32 tgid;
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct signal_struct *signal;
	struct mm_struct *mm;
	struct files_struct *files;
	struct sched_info sched_info;
	struct thread_struct thread;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
};

struct socket {
	struct sock *sk;
};

struct inet_connection_sock {
	struct {
		u32 lrcvtime; /* when data was last received */
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 lsndtime;	/* when data was last sent */
	u32 rcv_tstamp; /* when an acknowledgement was last received */
	u32 packets_out;
	u32 total_retrans;
	u32 segs_in;
	u32 segs_out;
	u32 data_segs_in;
	u32 data_segs_out;
	u32 dsack_dups;
	u32 write_seq;
	u32 snd_nxt;
	u32 chrono_start;
	u32 chrono_stat[3];
	u8 chrono_type : 2;
};

struct mptcp_sock {
	struct sock *first;
};

/* Before 5.14 the field had another name and another size. */
struct task_struct___before_5_14 {
	long state;
};

#pragma clang attribute pop

/* Contexts: their layout is part of the programs' interface, not relocated. */
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq __attribute__((aligned(8)));
	u64 session_id;
	u64 seq_num;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((aligned(8)));
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u64 fd;
	struct file *file;
} __attribute__((aligned(8)));

#endif
