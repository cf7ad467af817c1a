//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	socketsFeature = "sockets of other network namespaces"
	// maxSockets bounds the sockets that Tracer.Sockets tells.
	maxSockets = 8192
	// seqBuffer is how much the kernel has ready at a time.
	seqBuffer = 32 << 10
)

// maxFiles bounds the files, of all processes of the host, that Tracer.Sockets looks at;
// replaced in tests.
var maxFiles = uint32(1 << 18)

// ownNamespace is the inode of the network namespace of this process; zero, which none
// has, when it cannot be told.
func ownNamespace() uint32 {
	var ns unix.Stat_t
	if unix.Stat("/proc/self/ns/net", &ns) != nil {
		return 0
	}
	return uint32(ns.Ino)
}

// ticksPerSecond is CONFIG_HZ: the coarse clocks advance by one tick.
func ticksPerSecond() uint32 {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil || tick.Nano() <= 0 {
		return 1000
	}
	ns := tick.Nano()
	return uint32((int64(time.Second) + ns/2) / ns)
}

// loadSockets loads the program that tells sockets.
func (o *objects) loadSockets(spec *ebpf.CollectionSpec) {
	p, err := o.tryLoad(spec, captureProgTellSockets)
	if err != nil {
		o.degrade(socketsFeature, err)
		return
	}
	o.sockets = p
}

// Sockets has those TCP connections (established, half closed by the peer, or being
// made), listening TCP sockets and connected UDP sockets of targets taken that are in
// other network namespaces than this process, until take returns false; none where the
// kernel denies it, see Degraded. The kernel walks over the files of all processes, at
// most 2^18 and 8192 such sockets. It runs on the caller's goroutine.
//
// Of a connection of TCP these fields of struct tcp_info are told: unacked,
// last_data_sent, last_data_recv, last_ack_recv, total_retrans, segs_out, segs_in,
// notsent_bytes, data_segs_in, data_segs_out, busy_time, rwnd_limited, sndbuf_limited,
// dsack_dups; of one that listens idiag_rqueue and idiag_wqueue.
func (t *Tracer) Sockets(take func(Socket) bool) error {
	t.listing.Lock()
	defer t.listing.Unlock()
	t.life.RLock()
	defer t.life.RUnlock()
	switch {
	case t.obj.slots == nil:
		return ErrClosed
	case t.iters.sockets == nil:
		return nil
	}
	if err := t.obj.set(captureVarFilesLeft, maxFiles); err != nil {
		return err
	}
	r, err := t.iters.sockets.Open()
	if err != nil {
		return fmt.Errorf("capture: cannot list sockets: %w", err)
	}
	return errors.Join(readSockets(r, take), r.Close())
}

// readSockets reads what the kernel tells: whole records at each read.
func readSockets(r io.Reader, take func(Socket) bool) error {
	buffer := make([]byte, seqBuffer)
	for told := 0; ; {
		n, err := r.Read(buffer)
		for b := buffer[:n]; len(b) > 0; b = b[socketRecordSize:] {
			s, err := decodeSocket(b)
			if err != nil {
				return err
			}
			if told++; !take(s) || told == maxSockets {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, unix.EAGAIN): // the latter beyond maxFiles
			return nil
		case err != nil:
			return fmt.Errorf("capture: cannot list sockets: %w", err)
		}
	}
}
