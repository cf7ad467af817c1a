// Package flightrecorder keeps the last messages of each service, compressed, within a
// bound for all of them together, in the form in which the collector's file exporter
// writes them. It knows nothing of what the messages say.
package flightrecorder

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// overhead is what a message takes beside its bytes (estimated).
	overhead = 96
	// header is the length in front of a message.
	header = 4
	// window bounds what the compression looks back on, in bytes: a message is rarely
	// longer, and the memory for it stays small.
	window = 128 << 10
)

// Recorder is safe for concurrent use.
type Recorder struct {
	most    int64
	encoder *zstd.Encoder

	mu    sync.Mutex
	held  int64
	tapes map[string]*tape
}

// tape is what is kept of a service, the oldest first.
type tape struct {
	messages []message
	bytes    int64
	// until is after when nothing more is kept, in nanoseconds since the epoch; zero
	// while it goes on.
	until int64
}

type message struct {
	at   int64 // of its newest event, in nanoseconds since the epoch
	data []byte
}

func (m *message) bytes() int64 { return int64(len(m.data)) + overhead }

// New returns one that holds at most so many bytes.
func New(most int64) (*Recorder, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("records cannot be compressed: %w", err)
	}
	return &Recorder{most: most, encoder: e, tapes: map[string]*tape{}}, nil
}

// Add keeps a message of a service, whose newest event was at an instant in nanoseconds
// since the epoch. Where there is no room, the service that takes most of it loses its
// oldest message.
func (r *Recorder) Add(service string, at int64, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tapes[service]
	if t != nil && t.until != 0 && at > t.until {
		return
	}
	if t == nil {
		t = &tape{}
		r.tapes[service] = t
	}
	m := message{at: at, data: r.framed(data)}
	t.messages = append(t.messages, m)
	t.bytes += m.bytes()
	r.held += m.bytes()
	for r.held > r.most {
		r.dropOldest(r.largest())
	}
}

// framed compresses a message and puts its length in front.
func (r *Recorder) framed(data []byte) []byte {
	out := make([]byte, header, header+len(data)/2)
	out = r.encoder.EncodeAll(data, out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-header)) //nolint:gosec // a message is far shorter than 4 GiB
	return append(make([]byte, 0, len(out)), out...)         // no longer than it is
}

func (r *Recorder) largest() (service string) {
	most := int64(-1)
	for key, t := range r.tapes {
		if t.bytes > most || t.bytes == most && key < service {
			service, most = key, t.bytes
		}
	}
	return service
}

func (r *Recorder) dropOldest(service string) {
	t := r.tapes[service]
	n := t.messages[0].bytes()
	t.messages[0] = message{}
	t.messages = t.messages[1:]
	t.bytes -= n
	r.held -= n
	if len(t.messages) == 0 {
		delete(r.tapes, service)
	}
}

// Hold keeps what there is of a service: nothing that happens after an instant takes the
// place of it, until Resume.
func (r *Recorder) Hold(service string, until int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tapes[service]; t != nil {
		t.until = until
	}
}

// Resume goes on keeping what a service does.
func (r *Recorder) Resume(service string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tapes[service]; t != nil {
		t.until = 0
	}
}

// Forget drops what is kept of a service.
func (r *Recorder) Forget(service string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tapes[service]; t != nil {
		r.held -= t.bytes
		delete(r.tapes, service)
	}
}

// Bytes estimates the memory held.
func (r *Recorder) Bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// Recording is a copy of what is kept of a service.
type Recording struct {
	// From and To are the newest events of the first message and of the last.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Bytes is its size as a file.
	Bytes int64 `json:"bytes"`

	messages [][]byte
}

// Of is what is kept of a service, nil when nothing is.
func (r *Recorder) Of(service string) *Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tapes[service]
	if t == nil {
		return nil
	}
	first, last := t.messages[0].at, t.messages[len(t.messages)-1].at
	out := &Recording{From: time.Unix(0, first).UTC(), To: time.Unix(0, last).UTC(), messages: make([][]byte, len(t.messages))}
	for i := range t.messages {
		out.messages[i] = t.messages[i].data // never changed
		out.Bytes += int64(len(t.messages[i].data))
	}
	return out
}

// WriteTo writes it as a file.
func (r *Recording) WriteTo(w io.Writer) (n int64, err error) {
	for _, m := range r.messages {
		written, err := w.Write(m)
		n += int64(written)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
