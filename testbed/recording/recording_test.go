package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
)

func payload(n int) plog.Logs {
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.Body().SetStr("message " + strconv.Itoa(n))
	return ld
}

func proto(t testing.TB, n int) []byte {
	t.Helper()
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(payload(n))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func jsonLine(t testing.TB, n int) []byte {
	t.Helper()
	data, err := (&plog.JSONMarshaler{}).MarshalLogs(payload(n))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compressed(t testing.TB, data []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(data, nil)
}

// framed is what the file exporter writes of one message.
func framed(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// messages are two in each of the formats.
func messages(t testing.TB) map[string][]byte {
	lines := bytes.Join([][]byte{jsonLine(t, 1), jsonLine(t, 2), nil}, []byte("\n"))
	plain := append(framed(proto(t, 1)), framed(proto(t, 2))...)
	return map[string][]byte{
		"proto, each compressed":   append(framed(compressed(t, proto(t, 1))), framed(compressed(t, proto(t, 2)))...),
		"JSON, each compressed":    append(framed(compressed(t, jsonLine(t, 1))), framed(compressed(t, jsonLine(t, 2)))...),
		"proto":                    plain,
		"proto, whole compressed":  compressed(t, plain),
		"proto, in two frames":     append(compressed(t, plain[:30]), compressed(t, plain[30:])...),
		"JSON lines":               lines,
		"JSON lines, no last end":  bytes.TrimSuffix(lines, []byte("\n")),
		"JSON lines, whole packed": compressed(t, lines),
	}
}

func bodies(data []byte) (got []string, err error) {
	err = Decode(bytes.NewReader(data), func(ld plog.Logs) error {
		got = append(got, ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
		return nil
	})
	return got, err
}

func TestDecodeEveryFormat(t *testing.T) {
	for name, data := range messages(t) {
		got, err := bodies(data)
		if err != nil || strings.Join(got, ", ") != "message 1, message 2" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestATruncatedTail(t *testing.T) {
	for name, data := range messages(t) {
		for _, lost := range []int{1, 2, 5, 11} {
			got, err := bodies(data[:len(data)-lost])
			if strings.HasPrefix(name, "JSON lines") && lost == 1 && err == nil {
				continue // the end of the line alone
			}
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%s without the last %d bytes: %v", name, lost, err)
			}
			// Compressed as a whole, what is lost last is a checksum.
			whole := strings.Contains(name, "whole") || strings.Contains(name, "two frames")
			if !whole && len(got) != 1 {
				t.Errorf("%s without the last %d bytes: %q was delivered", name, lost, got)
			}
		}
	}
}

func TestDamageIsToldFromTheEnd(t *testing.T) {
	good := framed(compressed(t, proto(t, 1)))
	broken := compressed(t, proto(t, 2))
	broken[len(broken)-1] ^= 0xff // its checksum
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":             {nil, "it is empty"},
		"another file":      {[]byte("root:x:0:0:root:/root:/bin/bash\n"), "no recording"},
		"a wrong length":    {append(bytes.Clone(good), 0x7f, 0, 0, 0), "message 2: its length is"},
		"a wrong checksum":  {append(bytes.Clone(good), framed(broken)...), "message 2: it cannot be uncompressed"},
		"no OTLP":           {append(bytes.Clone(good), framed([]byte("text"))...), "message 2: it holds no OTLP logs"},
		"a line that isn't": {append(jsonLine(t, 1), "\n{]\n"...), "message 2: it holds no OTLP logs"},
		"too much packed":   {framed(compressed(t, make([]byte, maxMessage+1))), "message 1: it cannot be uncompressed"},
	} {
		_, err := bodies(c.data)
		if err == nil || errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnErrorOfTheReceiverEndsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.bin")
	if err := os.WriteFile(path, messages(t)["proto"], 0o600); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	n := 0
	err := Read(path, func(plog.Logs) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("got %v after %d messages", err, n)
	}
	if err := Read(path+".none", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestWriter(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		if err := w.Write(payload(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := bodies(file.Bytes()); err != nil || strings.Join(got, ", ") != "message 1, message 2" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range messages(f) {
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add(framed(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		delivered := 0
		if err := Decode(bytes.NewReader(data), func(ld plog.Logs) error {
			delivered++
			ld.LogRecordCount()
			return nil
		}); err == nil && delivered == 0 && len(data) > 0 && len(data) < 4 {
			t.Error("a piece of a message is no error")
		}
	})
}
