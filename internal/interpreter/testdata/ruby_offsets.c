#include "ruby/config.h"
#include "vm_core.h"
#include "ractor_core.h"
#include "internal.h"
#include <stddef.h>
#include <stdio.h>
#define P(t,f) printf(#t "." #f "=%zu\n", offsetof(t,f))
int main(){
P(rb_vm_t,ractor.set);P(rb_vm_t,ractor.main_thread);P(rb_ractor_t,vmlr_node);P(rb_ractor_t,threads.set);
P(rb_thread_t,lt_node);P(rb_thread_t,ec);P(rb_thread_t,tid);
P(rb_execution_context_t,vm_stack);P(rb_execution_context_t,vm_stack_size);P(rb_execution_context_t,cfp);
P(rb_control_frame_t,pc);P(rb_control_frame_t,iseq);P(rb_control_frame_t,ep);
P(rb_iseq_t,body);
P(struct rb_iseq_constant_body,type);P(struct rb_iseq_constant_body,iseq_size);P(struct rb_iseq_constant_body,iseq_encoded);P(struct rb_iseq_constant_body,location.pathobj);P(struct rb_iseq_constant_body,location.base_label);P(struct rb_iseq_constant_body,location.label);P(struct rb_iseq_constant_body,location.first_lineno);P(struct rb_iseq_constant_body,insns_info.body);P(struct rb_iseq_constant_body,insns_info.positions);P(struct rb_iseq_constant_body,insns_info.size);
#if VM_INSN_INFO_TABLE_IMPL == 2
P(struct rb_iseq_constant_body,insns_info.succ_index_table);
#endif
printf("cfp size %zu finish %x dummy %x mask %x noembed %lx lenshift %d\n", sizeof(rb_control_frame_t), VM_FRAME_FLAG_FINISH, VM_FRAME_MAGIC_DUMMY, VM_FRAME_MAGIC_MASK, (long)RSTRING_NOEMBED, RSTRING_EMBED_LEN_SHIFT);
return 0;}
