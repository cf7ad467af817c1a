package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The sizes and kinds of the records in the BPF ring buffers; struct task_event,
// struct stack_event and struct waking in bpf/maps.h, struct trace_context in
// bpf/payload.h, struct socket_record in bpf/sockets.h.
const (
	taskEventSize    = 40
	stackEventSize   = 72
	traceContextSize = 40
	wakingSize       = 64
	socketRecordSize = 312

	eventFork = 1
	eventExec = 2
	eventExit = 3
)

type taskEvent struct {
	kind, pid, tid, other uint32
	time, cpu, delay      uint64
}

// decodeTaskEvent reads a fork, exec or exit notice.
func decodeTaskEvent(b []byte) (taskEvent, error) {
	if len(b) < taskEventSize {
		return taskEvent{}, fmt.Errorf("task notice of %d bytes, want %d", len(b), taskEventSize)
	}
	le := binary.LittleEndian
	e := taskEvent{kind: le.Uint32(b), pid: le.Uint32(b[4:]), tid: le.Uint32(b[8:]), other: le.Uint32(b[12:]), time: le.Uint64(b[16:]), cpu: le.Uint64(b[24:]), delay: le.Uint64(b[32:])}
	if e.kind < eventFork || e.kind > eventExit {
		return taskEvent{}, fmt.Errorf("task notice of unknown kind %d", e.kind)
	}
	return e, nil
}

// decodeStack reads a stack record into s; s.Bytes is a part of b and s.Time
// the kernel's monotonic clock.
func decodeStack(b []byte, s *RawStack) error {
	if len(b) < stackEventSize {
		return fmt.Errorf("stack record of %d bytes, want at least %d", len(b), stackEventSize)
	}
	le := binary.LittleEndian
	kind, n := le.Uint32(b), le.Uint32(b[60:])
	if kind < uint32(StackAtCall) || kind > uint32(StackBlocked) {
		return fmt.Errorf("stack record of unknown kind %d", kind)
	}
	if uint64(n) > uint64(len(b)-stackEventSize) {
		return fmt.Errorf("stack record says %d bytes, has %d", n, len(b)-stackEventSize)
	}
	*s = RawStack{
		Kind:   StackKind(kind),
		ID:     le.Uint32(b[4:]),
		PID:    int32(le.Uint32(b[8:])),
		TID:    int32(le.Uint32(b[12:])),
		Time:   int64(le.Uint64(b[16:])),
		Regs:   Registers{IP: le.Uint64(b[24:]), SP: le.Uint64(b[32:]), BP: le.Uint64(b[40:]), LR: le.Uint64(b[48:])},
		Number: int32(le.Uint32(b[56:])),
		Pages:  le.Uint64(b[64:]),
		Bytes:  b[stackEventSize : stackEventSize+int(n)],
	}
	return nil
}

// decodeContext reads a trace context; its Time is the kernel's monotonic clock.
func decodeContext(b []byte) (Context, error) {
	if len(b) < traceContextSize {
		return Context{}, fmt.Errorf("trace context of %d bytes, want %d", len(b), traceContextSize)
	}
	le := binary.LittleEndian
	c := Context{PID: int32(le.Uint32(b)), TID: int32(le.Uint32(b[4:])), Time: int64(le.Uint64(b[8:]))}
	copy(c.TraceID[:], b[16:])
	copy(c.ParentID[:], b[32:])
	if c.TraceID == [16]byte{} || c.ParentID == [8]byte{} {
		return Context{}, errors.New("trace context with an id that is all zero")
	}
	return c, nil
}

// decodeWaking reads who ended a wait; its Time and Start are the kernel's monotonic
// clock.
func decodeWaking(b []byte) (Waking, error) {
	if len(b) < wakingSize {
		return Waking{}, fmt.Errorf("waking of %d bytes, want %d", len(b), wakingSize)
	}
	le := binary.LittleEndian
	w := Waking{
		Time: int64(le.Uint64(b)), Start: int64(le.Uint64(b[8:])), PID: int32(le.Uint32(b[16:])), TID: int32(le.Uint32(b[20:])),
		WakerPID: int32(le.Uint32(b[24:])), WakerTID: int32(le.Uint32(b[28:])), StackID: le.Uint32(b[32:]), WakerStackID: le.Uint32(b[36:]),
		Number: int32(le.Uint16(b[40:])), Flags: WakingFlags(le.Uint16(b[42:])),
	}
	name := b[44:60]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	w.Waker = string(name)
	if w.Start > w.Time {
		return Waking{}, errors.New("waking of a call that began later")
	}
	return w, nil
}

// diagMessageSize is that of a struct inet_diag_msg, where its attribute begins.
const diagMessageSize = 72

// decodeSocket reads a socket; its Message is a part of b.
func decodeSocket(b []byte) (Socket, error) {
	if len(b) < socketRecordSize {
		return Socket{}, fmt.Errorf("socket of %d bytes, want %d", len(b), socketRecordSize)
	}
	le := binary.LittleEndian
	s := Socket{PID: int32(le.Uint32(b)), Namespace: le.Uint32(b[4:]), Protocol: le.Uint32(b[8:]), Message: b[12:socketRecordSize]}
	s.Message = s.Message[:min(len(s.Message), diagMessageSize+int(le.Uint16(s.Message[diagMessageSize:])))]
	return s, nil
}
