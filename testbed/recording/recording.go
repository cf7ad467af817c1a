// Package recording reads the files that a collector with config/record.yaml
// writes.
package recording

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
)

// ErrTruncated says that a recording ends within a message: it is still being
// written, or what wrote it was killed. All before that was delivered.
var ErrTruncated = errors.New("the recording ends within a message: it is still being written, or its collector was killed")

// maxMessage bounds a message in bytes, compressed and not. A delivery of the
// receiver is some hundred kilobytes.
const maxMessage = 64 << 20

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// Read delivers what a file holds, in its order. What the collector's file
// exporter writes is understood in every format: messages with their length in
// front and JSON lines, compressed by itself or as a whole. An error of each
// ends it and is returned as it is.
func Read(path string, each func(plog.Logs) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	d := decoder{each: each}
	if err := d.decode(file); err != nil {
		if d.refused != nil {
			return d.refused
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Decode is Read of what is not a file.
func Decode(r io.Reader, each func(plog.Logs) error) error {
	d := decoder{each: each}
	return d.decode(r)
}

type decoder struct {
	each    func(plog.Logs) error
	refused error // by each
	count   int   // of messages delivered
	zstd    *zstd.Decoder
	raw     bytes.Buffer
	plain   []byte
}

func (d *decoder) decode(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return errors.New("it is empty: nothing was recorded, or the collector has not written yet")
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	if bytes.Equal(head, zstdMagic) {
		whole, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxMessage))
		if err != nil {
			return err
		}
		defer whole.Close()
		in = bufio.NewReaderSize(whole, 64<<10)
		if head, err = in.Peek(4); err != nil && !errors.Is(err, io.EOF) {
			return d.damaged(ended(err, true))
		}
	}
	if d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxMessage)); err != nil {
		return err
	}
	defer d.zstd.Close()
	next := d.message
	if len(head) > 0 && head[0] == '{' {
		next = d.line
	}
	for {
		data, err := next(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return d.damaged(err)
		}
		if err := d.deliver(data); err != nil {
			return d.damaged(err)
		}
	}
}

// message reads one message with its length in front; io.EOF means that there
// is none any more.
func (d *decoder) message(in *bufio.Reader) ([]byte, error) {
	var head [4]byte
	if n, err := io.ReadFull(in, head[:]); err != nil {
		return nil, ended(err, n > 0)
	}
	length := int64(binary.BigEndian.Uint32(head[:]))
	if length > maxMessage {
		return nil, fmt.Errorf("its length is %d bytes, at most %d make sense: this is no recording, or it is damaged", length, maxMessage)
	}
	// What is not there is not allocated for.
	d.raw.Reset()
	if _, err := io.CopyN(&d.raw, in, length); err != nil {
		return nil, ended(err, true)
	}
	return d.raw.Bytes(), nil
}

// line reads one line of JSON.
func (d *decoder) line(in *bufio.Reader) ([]byte, error) {
	d.raw.Reset()
	for {
		piece, err := in.ReadSlice('\n')
		d.raw.Write(piece)
		switch {
		case d.raw.Len() > maxMessage:
			return nil, fmt.Errorf("the line is longer than %d bytes", maxMessage)
		case err == nil && len(bytes.TrimSpace(d.raw.Bytes())) == 0:
			d.raw.Reset()
		case err == nil || errors.Is(err, io.EOF) && json.Valid(d.raw.Bytes()):
			return d.raw.Bytes(), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, ended(err, d.raw.Len() > 0)
		}
	}
}

// ended says what the end of the input means.
func ended(err error, within bool) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || (within && errors.Is(err, io.EOF)) {
		return ErrTruncated
	}
	return err
}

func (d *decoder) deliver(data []byte) error {
	if bytes.HasPrefix(data, zstdMagic) {
		var err error
		if d.plain, err = d.zstd.DecodeAll(data, d.plain[:0]); err != nil {
			return fmt.Errorf("it cannot be uncompressed: %w", err)
		}
		data = d.plain
	}
	unmarshal := (&plog.ProtoUnmarshaler{}).UnmarshalLogs
	if len(data) > 0 && data[0] == '{' {
		unmarshal = (&plog.JSONUnmarshaler{}).UnmarshalLogs
	}
	ld, err := unmarshal(data)
	if err != nil {
		return fmt.Errorf("it holds no OTLP logs: %w", err)
	}
	if d.refused = d.each(ld); d.refused != nil {
		return d.refused
	}
	d.count++
	return nil
}

// damaged says where.
func (d *decoder) damaged(err error) error {
	if d.refused != nil {
		return d.refused
	}
	return fmt.Errorf("message %d: %w", d.count+1, err)
}
