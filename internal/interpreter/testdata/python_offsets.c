#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#include <frameobject.h>
#if PY_VERSION_HEX < 0x030B0000
#if PY_VERSION_HEX >= 0x03090000
#include "internal/pycore_runtime.h"
#include "internal/pycore_interp.h"
#endif
#include "internal/pycore_pystate.h"
#else
#include "internal/pycore_runtime.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_frame.h"
#endif
#include <stdio.h>
#define P(name, t, f) printf("%s=%zu ", name, offsetof(t, f))
int main(void){
 printf("%s ", PY_VERSION);
 P("runtime_interp_head", _PyRuntimeState, interpreters.head);
 P("main_thread", _PyRuntimeState, main_thread);
 P("interp_next", PyInterpreterState, next);
#if PY_VERSION_HEX < 0x030B0000
 P("interp_threads", PyInterpreterState, tstate_head);
#else
 P("interp_threads", PyInterpreterState, threads.head);
#endif
 P("ts_next", PyThreadState, next);
 P("ts_interp", PyThreadState, interp);
 P("ts_thread_id", PyThreadState, thread_id);
#if PY_VERSION_HEX >= 0x030B0000
 P("ts_native", PyThreadState, native_thread_id);
#endif
#if PY_VERSION_HEX >= 0x030D0000
 P("ts_frame", PyThreadState, current_frame);
#elif PY_VERSION_HEX >= 0x030B0000
 P("ts_cframe", PyThreadState, cframe);
 P("cf_frame", _PyCFrame, current_frame);
 P("cf_prev", _PyCFrame, previous);
#else
 P("ts_frame", PyThreadState, frame);
#if PY_VERSION_HEX >= 0x030A0000
 P("ts_cframe", PyThreadState, cframe);
#endif
#endif
#if PY_VERSION_HEX >= 0x030B0000
#if PY_VERSION_HEX >= 0x030D0000
 P("f_code", _PyInterpreterFrame, f_executable);
 P("f_instr", _PyInterpreterFrame, instr_ptr);
#else
 P("f_code", _PyInterpreterFrame, f_code);
 P("f_instr", _PyInterpreterFrame, prev_instr);
#endif
 P("f_prev", _PyInterpreterFrame, previous);
 P("f_owner", _PyInterpreterFrame, owner);
#if PY_VERSION_HEX < 0x030C0000
 P("f_is_entry", _PyInterpreterFrame, is_entry);
#endif
 P("ds_chunk", PyThreadState, datastack_chunk);
 P("ds_top", PyThreadState, datastack_top);
 printf("sizeof_frame=%zu ", sizeof(_PyInterpreterFrame));
 P("c_instr", PyCodeObject, co_code_adaptive);
 P("c_lines", PyCodeObject, co_linetable);
 P("c_qualname", PyCodeObject, co_qualname);
#else
 P("f_code", PyFrameObject, f_code);
 P("f_prev", PyFrameObject, f_back);
 P("f_lasti", PyFrameObject, f_lasti);
#if PY_VERSION_HEX >= 0x030A0000
 P("c_lines", PyCodeObject, co_linetable);
#else
 P("c_lines", PyCodeObject, co_lnotab);
#endif
#endif
 P("c_first", PyCodeObject, co_firstlineno);
 P("c_file", PyCodeObject, co_filename);
 P("c_name", PyCodeObject, co_name);
 P("ob_type", PyObject, ob_type);
 P("tp_name", PyTypeObject, tp_name);
 P("tp_flags", PyTypeObject, tp_flags);
 P("bytes_data", PyBytesObject, ob_sval);
 P("var_size", PyVarObject, ob_size);
 printf("ascii=%zu compact=%zu ", sizeof(PyASCIIObject), sizeof(PyCompactUnicodeObject));
 P("u_len", PyASCIIObject, length);
 P("u_state", PyASCIIObject, state);
 printf("\n"); return 0;}
