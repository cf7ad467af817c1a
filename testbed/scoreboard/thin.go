package scoreboard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/perfscope/perfscope/pkg/inference/thin"
)

// ThinName is the name of a thin recording: its stream, compressed by zstd.
const ThinName = "records.thin.zst"

// IsThin reports whether a file is a thin recording, by its name.
func IsThin(path string) bool { return strings.HasSuffix(path, ".thin.zst") }

// Thin reads a recording of raw records and keeps of the services that want accepts
// intervals of a length. Services get numbers in place of the identifiers that they
// had.
func Thin(path string, want func(name string, pid int64) bool, length time.Duration) ([]*Service, error) {
	type state struct {
		pace
		*thin.Recorder
		thinned *Service
	}
	var services []*Service
	states := map[*Service]*state{}
	named := map[string]int{}
	err := readFlushes(path, want, func(s *Service, f Flush) {
		st := states[s]
		if st == nil {
			named[s.Name]++
			t := &Service{Name: s.Name, Instance: strconv.Itoa(named[s.Name]), Arch: s.Arch}
			services = append(services, t)
			st = &state{pace{length: int64(length)}, thin.NewRecorder(s.Arch, length), t}
			states[s] = st
		}
		if until := st.give(&f, st); st.passes(until) {
			st.thinned.Intervals = append(st.thinned.Intervals, st.Advance(st.judged, st.latest)...)
		}
	})
	for _, st := range states {
		st.thinned.Intervals = append(st.thinned.Intervals, st.Advance(st.latest, st.latest)...)
	}
	return services, err
}

// WriteThin writes a thin recording.
func WriteThin(path string, services []*Service) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	z, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	w := thin.NewWriter(z)
	for _, s := range services {
		if err := w.Begin(thin.Service{Name: s.Name, Arch: s.Arch}); err != nil {
			return err
		}
		for _, i := range s.Intervals {
			if err := w.Write(i); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

// maxWindow bounds what a compressed recording may have its reader keep, in bytes.
const maxWindow = 64 << 20

// ReadThin reads what WriteThin wrote.
func ReadThin(path string) ([]*Service, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	z, err := zstd.NewReader(bufio.NewReader(file), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer z.Close()
	var services []*Service
	named := map[string]int{}
	r := thin.NewReader(z)
	for {
		i, first, err := r.Next()
		if errors.Is(err, io.EOF) {
			return services, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if first {
			of := r.Service()
			named[of.Name]++
			services = append(services, &Service{Name: of.Name, Instance: strconv.Itoa(named[of.Name]), Arch: of.Arch})
		}
		s := services[len(services)-1]
		s.Intervals = append(s.Intervals, i)
	}
}
