//go:build linux && (amd64 || arm64)

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

// What the sockets say is tested where they are read: internal/machine.

func TestReadingSocketsIsBounded(t *testing.T) {
	record := make([]byte, socketRecordSize)
	binary.LittleEndian.PutUint16(record[12+diagMessageSize:], 228)
	count := func(r io.Reader, most int) (n int, err error) {
		err = readSockets(r, func(s Socket) bool {
			if len(s.Message) != socketRecordSize-12 {
				t.Fatalf("a message of %d bytes", len(s.Message))
			}
			n++
			return n < most
		})
		return n, err
	}
	all := bytes.Repeat(record, maxSockets+5)
	for name, tc := range map[string]struct {
		from       []byte
		most, want int
	}{
		"all": {all[:7*len(record)], 100, 7}, "enough": {all, 3, 3}, "too many": {all, 2 * maxSockets, maxSockets}, "none": {nil, 1, 0},
	} {
		if n, err := count(&whole{bytes.NewReader(tc.from)}, tc.most); n != tc.want || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, err := count(iotest.ErrReader(os.ErrClosed), 1); err == nil {
		t.Error("a reader that fails is as good as one that ends")
	}
	if _, err := count(bytes.NewReader(record[1:]), 1); err == nil {
		t.Error("a part of a record is as good as a record")
	}
}

// whole reads whole records, as the kernel has them.
type whole struct{ from io.Reader }

func (w *whole) Read(b []byte) (int, error) {
	return w.from.Read(b[:len(b)/socketRecordSize*socketRecordSize])
}

// TestSocketsOfManyFiles: where there are more files than are looked at the walk ends.
func TestSocketsOfManyFiles(t *testing.T) {
	tr, _ := startTracer(t, watchConfig())
	needs(t, tr, socketsFeature)
	defer func(n uint32) { maxFiles = n }(maxFiles)
	maxFiles = 5
	must(t, tr.Sockets(func(Socket) bool { return true }))
	if left := tr.obj.get(captureVarFilesLeft); left != 0 {
		t.Errorf("%d of 5 files are not looked at", left)
	}
	maxFiles = 1 << 18
	must(t, tr.Sockets(func(Socket) bool { return true }))
	if left := tr.obj.get(captureVarFilesLeft); left == 0 || left > maxFiles-5 {
		t.Errorf("%d files are left to look at", left)
	}
	must(t, tr.Close())
	if err := tr.Sockets(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// BenchmarkSockets is a walk over 10,000 more files than this host has, of which none is told.
func BenchmarkSockets(b *testing.B) {
	tr, _ := startTracer(b, watchConfig())
	needs(b, tr, socketsFeature)
	for range 10_000 {
		f, err := os.Open(os.DevNull)
		must(b, err)
		defer f.Close()
	}
	for b.Loop() {
		must(b, tr.Sockets(func(Socket) bool { return true }))
	}
	b.ReportMetric(float64(maxFiles-tr.obj.get(captureVarFilesLeft)), "files")
}
