package stack

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// maxMiniDebug bounds the unpacked .gnu_debugdata (Fedora's are below 5 MB).
const maxMiniDebug = 64 << 20

// debugFilePath is where a separate debug file of a build id (hex) is, below
// the directory of debug files (gdb manual, "Separate Debug Files").
func debugFilePath(dir, id string) string {
	if len(id) < 4 {
		return ""
	}
	return dir + "/.build-id/" + id[:2] + "/" + id[2:] + ".debug"
}

// miniDebugSymbols reads the symbol table that Fedora and its kin put,
// xz-compressed, into stripped binaries.
func miniDebugSymbols(a *allowance, f *elf.File) *symbolTable {
	packed := section(a, f, ".gnu_debugdata", maxMiniDebug)
	if packed == nil {
		return nil
	}
	defer func() { a.give(uint64(len(packed))) }()
	unpacked := unpackXZ(a, packed)
	if unpacked == nil {
		return nil
	}
	defer func() { a.give(uint64(cap(unpacked))) }()
	d, err := openELF(bytes.NewReader(unpacked))
	if err != nil {
		return nil
	}
	return symbolsOf(a, d, elf.SHT_SYMTAB, selection{})
}

// maxDictionary bounds the dictionary of an xz stream (bytes); xz -6, which
// everybody uses for this, has 8 MiB.
const maxDictionary = 16 << 20

// unpackXZ unpacks the first block of an xz stream (the .xz file format, 3.1),
// which is all there is below 24 MiB. Others, whose headers would only be met
// in the middle of the data, are not looked at: each may ask for a dictionary
// of 4 GiB. So is no filter but LZMA2. nil is not such a stream, or no room.
func unpackXZ(a *allowance, packed []byte) []byte {
	const streamHeader, lzma2, checksum = 12, 0x21, 4
	if len(packed) < streamHeader+8 || string(packed[:6]) != "\xfd7zXZ\x00" || packed[streamHeader] == 0 {
		return nil
	}
	end := streamHeader + 4*(int(packed[streamHeader])+1)
	if end > len(packed) {
		return nil
	}
	r := reader{data: packed[:end-checksum], pos: streamHeader + 1}
	flags := r.u8()
	for _, present := range []uint8{0x40, 0x80} { // packed and unpacked size
		if flags&present != 0 {
			r.uleb()
		}
	}
	if flags&3 != 0 || r.uleb() != lzma2 || r.uleb() != 1 {
		return nil
	}
	dictionary := dictionarySize(r.u8())
	if r.bad || dictionary > maxDictionary || !a.take(dictionary) {
		return nil
	}
	defer a.give(dictionary)
	unpack, err := lzma.Reader2Config{DictCap: int(max(dictionary, lzma.MinDictCap))}.NewReader2(bytes.NewReader(packed[end:]))
	if err != nil {
		return nil
	}
	return readAll(a, unpack)
}

// dictionarySize is what a byte of the LZMA2 filter says (5.3.1).
func dictionarySize(bits uint8) uint64 {
	if bits > 40 {
		return 1 << 62
	}
	return uint64(2|bits&1) << (bits/2 + 11)
}

// readAll reads to the end, as far as there is room; nil if there is not. What it
// returns was taken from the allowance by its capacity.
func readAll(a *allowance, r io.Reader) []byte {
	const first = 256 << 10
	if !a.take(first) {
		return nil
	}
	out := make([]byte, 0, first)
	for {
		n, err := io.ReadFull(r, out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return out
		case err != nil || len(out) >= maxMiniDebug || !a.take(2*uint64(cap(out))):
			a.give(uint64(cap(out)))
			return nil
		}
		grown := append(make([]byte, 0, 2*cap(out)), out...)
		a.give(uint64(cap(out)))
		out = grown
	}
}
