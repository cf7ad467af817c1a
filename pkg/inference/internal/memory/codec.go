package memory

import (
	"bytes"
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
)

// magic begins what is written; its last byte is the version.
const magic = "perfscope memory\x00\x01"

// Errors of Decode, and what it returns else says which part is damaged.
var (
	ErrNotMemory = errors.New("this is no memory of a service")
	ErrVersion   = errors.New("the memory is of another version of PerfScope")
	ErrDamaged   = errors.New("the memory is damaged")
)

// Encode writes a memory. What takes more than MaxBytes loses its oldest hops, and then
// what is known beside the past.
func (m *Memory) Encode() ([]byte, error) { return m.EncodeWithin(MaxBytes) }

// EncodeWithin is Encode in at most so many bytes.
func (m *Memory) EncodeWithin(most int) ([]byte, error) {
	kept := *m
	for {
		data, err := kept.encode()
		if err != nil || len(data) <= most {
			return data, err
		}
		switch {
		case len(kept.Hops) > 1:
			kept.Hops = kept.Hops[(len(kept.Hops)+1)/2:]
		case len(kept.States)+len(kept.Starts)+len(kept.Outline) > 0:
			kept.States, kept.Starts, kept.Outline = nil, nil, nil
		default:
			return nil, fmt.Errorf("a hop takes %d bytes, a memory has room for %d", len(data), most)
		}
	}
}

func (m *Memory) encode() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(magic)
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(gob.NewEncoder(z).Encode(m), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Decode reads a memory, which is checked as a whole.
func Decode(data []byte) (*Memory, error) {
	n := len(magic)
	switch {
	case len(data) < n || string(data[:n-1]) != magic[:n-1]:
		return nil, ErrNotMemory
	case data[n-1] != magic[n-1]:
		return nil, fmt.Errorf("%w: %d, this one reads %d", ErrVersion, data[n-1], magic[n-1])
	case len(data) > MaxBytes:
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are written", ErrDamaged, len(data), MaxBytes)
	}
	z, err := gzip.NewReader(bytes.NewReader(data[n:]))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, int64(maxInflated)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case len(plain) > maxInflated:
		return nil, fmt.Errorf("%w: it has more than %d bytes when it is unpacked", ErrDamaged, maxInflated)
	}
	return decode(plain)
}

// decode reads what was unpacked.
func decode(plain []byte) (*Memory, error) {
	m := &Memory{}
	if err := gob.NewDecoder(bytes.NewReader(plain)).Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return m, nil
}

// all are the hops of the past, of starts and of states.
func (m *Memory) all() iter.Seq[*Hop] {
	return func(yield func(*Hop) bool) {
		lists := [][]Hop{m.Hops}
		for i := range m.Starts {
			lists = append(lists, m.Starts[i].Hops)
		}
		for i := range m.States {
			lists = append(lists, m.States[i].Hops)
		}
		for _, list := range lists {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

func (m *Memory) check() error {
	switch {
	case len(m.Hops) > MaxHops || len(m.Starts) > MaxStarts || len(m.States) > MaxStates || len(m.Outline) > MaxOutline || len(m.Saved.Functions) > maxFunctions:
		return errors.New("it has more than a memory may have")
	case m.HopLength <= 0 || m.Learned < 0 || !(m.Days >= 0 && m.Peaks >= 0 && m.Beyond >= 0 && m.Days < 1e6 && m.Peaks < 1e12 && m.Beyond < 1e12):
		return errors.New("a number that no memory has")
	case m.Open != nil && !(m.Open.Lost >= 0 && m.Open.Lost < 1e12 && m.Open.Onset >= 0):
		return errors.New("an anomaly with a number that none has")
	}
	for i := range m.Starts {
		if len(m.Starts[i].Hops) > MaxStartHops {
			return errors.New("a start has too many hops")
		}
	}
	for i := range m.States {
		if s := &m.States[i]; len(s.Hops) > MaxStateHops || len(s.Times) > MaxTimes || len(s.Times) == 0 || s.Seen < 0 || len(s.ID)+len(s.Instance) > maxText {
			return errors.New("a state has too much, or nothing")
		}
	}
	if err := m.Saved.Check(); err != nil {
		return err
	}
	for h := range m.all() {
		if err := h.check(len(m.Saved.Stacks), len(m.Saved.Functions), workMeasures); err != nil {
			return err
		}
	}
	return nil
}

// workMeasures is the length of hop.Closed.Measures.
const workMeasures = 5
