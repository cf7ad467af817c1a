/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The BPF helpers in use and the few macros around them: with these no libbpf
 * header is needed, and the objects depend on the compiler alone. */
#ifndef PERFSCOPE_HELPERS_H
#define PERFSCOPE_HELPERS_H

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __noinline __attribute__((noinline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() asm volatile("" ::: "memory")

/* Does the running kernel have this field? Decided when the program is loaded. */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
/* Where is it? Of a bit field: that of the bytes it is in, and the shifts that leave it
 * of an u64. */
#define field_offset(field) __builtin_preserve_field_info(field, 0)
#define field_size(field) __builtin_preserve_field_info(field, 1)
#define field_left_shift(field) __builtin_preserve_field_info(field, 4)
#define field_right_shift(field) __builtin_preserve_field_info(field, 5)
/* And this helper? */
#define helper_exists(id) __builtin_preserve_enum_value(*(enum bpf_func_id *)id, 0)

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_get_current_comm)(void *buf, u32 size) = (void *)16;
static u64 (*bpf_get_current_task)(void) = (void *)35;
static long (*bpf_probe_read_user)(void *dst, u32 size, const void *user) = (void *)112;
static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *kernel) = (void *)113;
static u64 (*bpf_jiffies64)(void) = (void *)118;
static long (*bpf_seq_write)(struct seq_file *to, const void *data, u32 len) = (void *)127;
#define BPF_RB_AVAIL_DATA 0
static long (*bpf_ringbuf_output)(void *ringbuf, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*bpf_ringbuf_query)(void *ringbuf, u64 flags) = (void *)134;
static struct tcp_sock *(*bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static void *(*bpf_this_cpu_ptr)(const void *percpu) = (void *)154;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static struct socket *(*bpf_sock_from_file)(struct file *file) = (void *)162;
static long (*bpf_task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*bpf_copy_from_user_task)(void *dst, u32 size, const void *user, struct task_struct *task,
				       u64 flags) = (void *)191;

/* Since 6.2: a pointer taken for one to the structure of this number among the kernel's
 * types. Where the kernel has no such function its address is zero. */
extern void *bpf_rdonly_cast(const void *pointer, u32 type) __attribute__((section(".ksyms"), weak));
/* The number of a type among those of the running kernel. */
#define type_number(type) __builtin_btf_type_id(*(type *)0, 1)

#endif
