package capture

import (
	"encoding/binary"
	"strings"
	"testing"
)

func stackRecord(kind, id uint32, n uint32, bytes int) []byte {
	b := make([]byte, stackEventSize+bytes)
	le := binary.LittleEndian
	le.PutUint32(b, kind)
	le.PutUint32(b[4:], id)
	le.PutUint32(b[8:], 10)
	le.PutUint32(b[12:], 11)
	le.PutUint64(b[16:], 12)
	le.PutUint64(b[24:], 13)
	le.PutUint64(b[32:], 14)
	le.PutUint64(b[40:], 15)
	le.PutUint64(b[48:], 16)
	le.PutUint32(b[56:], 0xffffffff)
	le.PutUint32(b[60:], n)
	le.PutUint64(b[64:], 17)
	return b
}

func TestDecodeStack(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		err  string
	}{
		{"good", stackRecord(1, 7, 5, 5), ""},
		{"padded by the ring", stackRecord(3, 7, 5, 8), ""},
		{"no bytes", stackRecord(2, 0, 0, 0), ""},
		{"empty", nil, "stack record of 0 bytes"},
		{"cut", stackRecord(1, 7, 5, 5)[:71], "stack record of 71 bytes"},
		{"kind", stackRecord(4, 7, 5, 5), "unknown kind 4"},
		{"length", stackRecord(1, 7, 6, 5), "says 6 bytes, has 5"},
		{"huge length", stackRecord(1, 7, 0xffffffff, 5), "says 4294967295 bytes"},
	} {
		var s RawStack
		err := decodeStack(c.b, &s)
		if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if err == nil && (s.PID != 10 || s.TID != 11 || s.Time != 12 || s.Regs != Registers{13, 14, 15, 16} || s.Number != NoCall || s.Pages != 17) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestDecodeTaskEvent(t *testing.T) {
	good := make([]byte, taskEventSize)
	good[0], good[4], good[8], good[12], good[16], good[24], good[32] = eventExit, 1, 2, 3, 4, 5, 6
	if e, err := decodeTaskEvent(good); err != nil || e != (taskEvent{kind: eventExit, pid: 1, tid: 2, other: 3, time: 4, cpu: 5, delay: 6}) {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := decodeTaskEvent(good[:39]); err == nil {
		t.Error("a notice of 39 bytes was taken")
	}
	good[0] = 9
	if _, err := decodeTaskEvent(good); err == nil {
		t.Error("a notice of kind 9 was taken")
	}
}

func TestDecodeContext(t *testing.T) {
	good := make([]byte, traceContextSize+8)
	good[0], good[4], good[8], good[16], good[31], good[32], good[39] = 1, 2, 3, 4, 5, 6, 7
	want := Context{PID: 1, TID: 2, Time: 3, TraceID: [16]byte{4, 15: 5}, ParentID: [8]byte{6, 7: 7}}
	if c, err := decodeContext(good); err != nil || c != want {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := decodeContext(good[:39]); err == nil {
		t.Error("a context of 39 bytes was taken")
	}
	good[16], good[31] = 0, 0
	if _, err := decodeContext(good); err == nil {
		t.Error("a trace id of zeros was taken")
	}
}

func TestDecodeWaking(t *testing.T) {
	good := make([]byte, wakingSize+8)
	for i, at := range []int{8, 0, 16, 20, 24, 28, 32, 36, 40, 42} {
		good[at] = byte(i + 1)
	}
	copy(good[44:], "worker\x00rest of it")
	want := Waking{Start: 1, Time: 2, PID: 3, TID: 4, WakerPID: 5, WakerTID: 6, StackID: 7, WakerStackID: 8, Number: 9, Flags: 10, Waker: "worker"}
	if w, err := decodeWaking(good); err != nil || w != want {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := decodeWaking(good[:63]); err == nil {
		t.Error("a waking of 63 bytes was taken")
	}
	good[8] = 3
	if _, err := decodeWaking(good); err == nil {
		t.Error("a waking before the wait was taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(stackRecord(1, 7, 5, 5))
	f.Add(stackRecord(2, 0, 0, 0))
	f.Add(make([]byte, taskEventSize))
	f.Add(make([]byte, socketRecordSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s RawStack
		if err := decodeStack(b, &s); err == nil && len(s.Bytes) > len(b)-stackEventSize {
			t.Errorf("%d bytes out of %d", len(s.Bytes), len(b))
		}
		_, _ = decodeTaskEvent(b)
		_, _ = decodeContext(b)
		if s, err := decodeSocket(b); err == nil && (len(s.Message) < diagMessageSize || len(s.Message) > len(b)) {
			t.Errorf("a message of %d bytes out of %d", len(s.Message), len(b))
		}
	})
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for field, change := range map[string]func(*Config){
		"SampleHz":          func(c *Config) { c.SampleHz = 1001 },
		"SnapshotInterval":  func(c *Config) { c.SnapshotInterval = 1 },
		"MaxSnapshotStacks": func(c *Config) { c.MaxSnapshotStacks = -1 },
		"StackBytes":        func(c *Config) { c.StackBytes = MaxStackBytes + 1 },
		"StackEvery":        func(c *Config) { c.StackEvery = -1 },
		"SlowCall":          func(c *Config) { c.SlowCall = -1 },
		"RingRecords":       func(c *Config) { c.RingRecords = 100 },
		"StackRingBytes":    func(c *Config) { c.StackRingBytes = 100 },
		"PollInterval":      func(c *Config) { c.PollInterval = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
