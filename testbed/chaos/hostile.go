package chaos

import (
	"bytes"
	"compress/zlib"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programsDir is where the hostile programs are.
func programsDir(root string) string { return filepath.Join(root, "testbed", "bin", "hostile") }

// Programs compiles testbed/apps/hostile, each file a program. It goes before Run.
func Programs(ctx context.Context, root string) error {
	dir := programsDir(root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(root, "testbed", "apps", "hostile", "*.c"))
	if err != nil || len(sources) == 0 {
		return errors.Join(err, errors.New("testbed/apps/hostile has no sources"))
	}
	for _, s := range sources {
		name := filepath.Base(s)
		out, err := exec.CommandContext(ctx, "cc", "-O1", "-fno-omit-frame-pointer", "-w", "-pthread", "-o", filepath.Join(dir, name[:len(name)-2]), s).CombinedOutput()
		if err != nil {
			return fmt.Errorf("cc %s: %w: %s", name, err, out)
		}
	}
	return errors.Join(
		damage(filepath.Join(dir, "sled"), filepath.Join(dir, "sled-frames"), longFrames),
		damage(filepath.Join(dir, "sled"), filepath.Join(dir, "sled-symbols"), manySymbols),
	)
}

// section is one that is put into a program, compressed.
type section struct {
	name       string
	kind, link uint32 // link counts from the first of them
	entry      uint64
	data       []byte
	plain      bool
}

// longFrames is one FDE, over the sled, of a hundred million instructions.
func longFrames(sled uint64) []section {
	const program = 120 << 20
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	put(uint32(20))
	b.Write([]byte{0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x00, 0x0c, 7, 8, 0x90, 1, 0, 0})
	put(uint32(4 + 8 + 8 + 1 + program))
	put(uint32(b.Len()))
	put(sled)
	put(uint64(1_000_064))
	b.Write(make([]byte, 1+program+4))
	return []section{{name: ".eh_frame", kind: uint32(elf.SHT_PROGBITS), data: b.Bytes()}}
}

// manySymbols are four million symbols of one address, with one long name.
func manySymbols(sled uint64) []section {
	one := make([]byte, 24)
	binary.LittleEndian.PutUint32(one, 1)
	one[4], one[6] = 0x12, 1
	binary.LittleEndian.PutUint64(one[8:], sled)
	binary.LittleEndian.PutUint64(one[16:], 1_000_064)
	names := append(append([]byte{0}, bytes.Repeat([]byte{'A'}, 8190)...), 0)
	return []section{
		{name: ".symtab", kind: uint32(elf.SHT_SYMTAB), link: 1, entry: 24, data: bytes.Repeat(one, 4<<20)},
		{name: ".strtab", kind: uint32(elf.SHT_STRTAB), data: names, plain: true},
	}
}

// damage copies a program and replaces sections of it.
func damage(from, to string, made func(sled uint64) []section) error {
	f, err := elf.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	symbols, err := f.Symbols()
	if err != nil {
		return err
	}
	var sled uint64
	for _, s := range symbols {
		if s.Name == "sled" {
			sled = s.Value
		}
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var head elf.Header64
	if _, err := binary.Decode(b, binary.LittleEndian, &head); err != nil {
		return err
	}
	list := make([]elf.Section64, head.Shnum)
	if _, err := binary.Decode(b[head.Shoff:], binary.LittleEndian, list); err != nil {
		return err
	}
	names, err := f.Sections[head.Shstrndx].Data()
	if err != nil {
		return err
	}
	added := made(sled)
	for i, s := range f.Sections {
		for _, a := range added {
			if s.Name == a.name || s.Name == ".eh_frame_hdr" && a.name == ".eh_frame" {
				list[i].Name = 0
				list[i].Type = uint32(elf.SHT_PROGBITS)
			}
		}
	}
	first := uint32(len(list))
	for _, a := range added {
		s := elf.Section64{Name: uint32(len(names)), Type: a.kind, Off: uint64(len(b)), Addralign: 1, Entsize: a.entry}
		if a.link > 0 {
			s.Link = first + a.link
		}
		names = append(append(names, a.name...), 0)
		data := a.data
		if !a.plain {
			s.Flags = uint64(elf.SHF_COMPRESSED)
			var z bytes.Buffer
			_ = binary.Write(&z, binary.LittleEndian, elf.Chdr64{Type: uint32(elf.COMPRESS_ZLIB), Size: uint64(len(data)), Addralign: 1})
			w := zlib.NewWriter(&z)
			_, err := w.Write(data)
			if err = errors.Join(err, w.Close()); err != nil {
				return err
			}
			data = z.Bytes()
		}
		s.Size = uint64(len(data))
		b = append(b, data...)
		list = append(list, s)
	}
	list[head.Shstrndx].Off, list[head.Shstrndx].Size = uint64(len(b)), uint64(len(names))
	b = append(b, names...)
	head.Shoff, head.Shnum = uint64(len(b)), uint16(len(list))
	var table bytes.Buffer
	_ = binary.Write(&table, binary.LittleEndian, list)
	b = append(b, table.Bytes()...)
	var front bytes.Buffer
	_ = binary.Write(&front, binary.LittleEndian, head)
	copy(b, front.Bytes())
	return os.WriteFile(to, b, 0o755)
}
