package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A file is a row of frames: the length of the payload, its checksum, the
// payload. A text fits into a few of them, and a damaged sector costs one.
const (
	frameHeader  = 8
	framePayload = 512
)

var errDamaged = errors.New("damaged frame")

// unframed is the size of what is in a file of a size. All frames but the last
// are full.
func unframed(size int64) int64 {
	full, rest := size/(frameHeader+framePayload), size%(frameHeader+framePayload)
	return full*framePayload + max(rest-frameHeader, 0)
}

// frameWriter cuts what is written to it into frames.
type frameWriter struct {
	w io.Writer
}

func (f *frameWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		part := p[:min(len(p), framePayload)]
		var header [frameHeader]byte
		binary.BigEndian.PutUint32(header[:4], uint32(len(part)))
		binary.BigEndian.PutUint32(header[4:], crc32.ChecksumIEEE(part))
		if _, err := f.w.Write(header[:]); err != nil {
			return written, err
		}
		n, err := f.w.Write(part)
		written += n
		if err != nil {
			return written, err
		}
		p = p[len(part):]
	}
	return written, nil
}

// frameReader puts frames together again.
type frameReader struct {
	r       io.Reader
	header  [frameHeader]byte
	payload [framePayload]byte
	rest    []byte
}

func newFrameReader(r io.Reader) *frameReader { return &frameReader{r: r} }

func (f *frameReader) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// next reads one frame.
func (f *frameReader) next() error {
	if _, err := io.ReadFull(f.r, f.header[:]); err != nil {
		return err // io.EOF between two frames is the end of the file
	}
	size := binary.BigEndian.Uint32(f.header[:4])
	if size == 0 || size > framePayload {
		return fmt.Errorf("%w: %d bytes", errDamaged, size)
	}
	payload := f.payload[:size]
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return errors.Join(errDamaged, err)
	}
	if crc32.ChecksumIEEE(payload) != binary.BigEndian.Uint32(f.header[4:]) {
		return fmt.Errorf("%w: checksum", errDamaged)
	}
	f.rest = payload
	return nil
}
