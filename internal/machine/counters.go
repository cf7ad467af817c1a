package machine

import (
	"bytes"
	"math"
	"os"
	"strconv"
)

// maxFile bounds what is read of a file: those of the kernel are smaller.
const maxFile = 64 << 10

// read returns the beginning of a file in a buffer that is used again.
func (r *Reader) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	n := 0
	for n < len(r.buffer) {
		m, err := f.Read(r.buffer[n:])
		n += m
		if err != nil || m == 0 {
			break
		}
	}
	return r.buffer[:n], nil
}

// number reads a decimal number that is not negative; false when it is none. What is
// beyond 63 bits ("max", no limit) is the largest.
func number(b []byte) (int64, bool) {
	if string(b) == "max" {
		return math.MaxInt64, true
	}
	u, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0, false
	}
	return int64(min(u, math.MaxInt64)), true //nolint:gosec // bounded
}

// keyed calls f with the name and the number of each line of the form "name number".
func keyed(data []byte, f func(name string, value int64)) {
	for line := range bytes.Lines(data) {
		name, rest, found := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if v, ok := number(bytes.TrimSpace(rest)); found && ok {
			f(string(name), v)
		}
	}
}

// pressure is the time, in nanoseconds, that a file of pressure stall information says
// for "some"; false when it does not.
func pressure(data []byte) (int64, bool) {
	for line := range bytes.Lines(data) {
		if !bytes.HasPrefix(line, []byte("some ")) {
			continue
		}
		if _, total, ok := bytes.Cut(bytes.TrimSpace(line), []byte("total=")); ok {
			v, ok := number(total)
			return micro(v), ok
		}
	}
	return 0, false
}

// micro turns microseconds into nanoseconds.
func micro(us int64) int64 { return min(us, math.MaxInt64/1000) * 1000 }

// milli turns milliseconds into nanoseconds.
func milli(ms int64) int64 { return min(ms, math.MaxInt64/1_000_000) * 1_000_000 }
