package stack

import (
	"bytes"
	"debug/elf"
	"io"

	"github.com/ulikunitz/xz"
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
func miniDebugSymbols(f *elf.File) *symbolTable {
	packed := section(f, ".gnu_debugdata", maxMiniDebug)
	if packed == nil || !smallDictionary(packed) {
		return nil
	}
	r, err := xz.ReaderConfig{DictCap: 16 << 20, SingleStream: true}.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	var buf bytes.Buffer
	if n, err := io.Copy(&buf, io.LimitReader(r, maxMiniDebug)); err != nil || n == maxMiniDebug {
		return nil
	}
	d, err := elf.NewFile(bytes.NewReader(buf.Bytes()))
	if err != nil {
		return nil
	}
	return symbolsOf(d, elf.SHT_SYMTAB)
}

// smallDictionary reads from an xz stream's first block header (the .xz file
// format, 3.1) whether it can be unpacked in at most 64 MiB; the format
// allows 4 GiB. Blocks with more than the LZMA2 filter are refused.
func smallDictionary(packed []byte) bool {
	const streamHeader, lzma2, maxDictionaryBits = 12, 0x21, 28
	if len(packed) < streamHeader+8 {
		return false
	}
	r := reader{data: packed, pos: streamHeader + 1}
	flags := r.u8()
	for _, present := range []uint8{0x40, 0x80} { // packed and unpacked size
		if flags&present != 0 {
			r.uleb()
		}
	}
	return flags&3 == 0 && r.uleb() == lzma2 && r.uleb() == 1 && r.u8() <= maxDictionaryBits && !r.bad
}
