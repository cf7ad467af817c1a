package stack

import (
	"bytes"
	"os"
	"testing"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// smallELF finds ELF files that every Linux machine has; the test binary's
// own is too large for a fuzzer.
func smallELF(f *testing.F) {
	for _, path := range []string{"/bin/true", "/usr/bin/true"} {
		if data, err := os.ReadFile(path); err == nil && len(data) < 64<<10 {
			f.Add(data)
		}
	}
	if data, err := readVDSO(&rootfs.Door{}); err == nil {
		f.Add(data)
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
}

func FuzzLoadImage(f *testing.F) {
	smallELF(f)
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, arch := range []*architecture{&amd64, &arm64} {
			img, err := loadImage(bytes.NewReader(data), imageOptions{arch: arch, lines: true})
			if err != nil {
				continue
			}
			img.functions(unhurried())
			mod := &module{name: "fuzz", img: img}
			for i, s := range img.segments {
				if i == 4 {
					break
				}
				for off := uint64(0); off < 256; off += 16 {
					learn(mod, data, s.vaddr+off)
				}
			}
		}
	})
}

func FuzzFrames(f *testing.F) {
	if data, err := readVDSO(&rootfs.Door{}); err == nil {
		f.Add(data, uint64(0x1000))
	}
	f.Add([]byte{0x14, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0}, uint64(0))
	f.Fuzz(func(_ *testing.T, data []byte, addr uint64) {
		t, err := parseFrames(unhurried(), data, addr)
		if err != nil {
			return
		}
		u := NewUnwinder(Options{})
		mem := &memory{base: 0x7000, data: data}
		for i := range t.entries {
			if i == 64 {
				break
			}
			e := &t.entries[i]
			for _, at := range []uint64{e.start, e.start + uint64(e.size)/2} {
				if r, err := t.rowAt(e, at); err == nil {
					regs := u.initial(Registers{IP: at, SP: 0x7000, BP: 0x7010})
					u.stepRow(r, &regs, mem)
				}
			}
		}
	})
}
