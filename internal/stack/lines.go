package stack

import (
	"debug/dwarf"
	"debug/elf"
	"time"
)

const (
	// maxDebugInfo bounds .debug_info (bytes) for which lines are looked up.
	maxDebugInfo = 64 << 20
	// lineBudget bounds the time spent on one module's debug information in
	// all; past it, frames come without file and line.
	lineBudget = 2 * time.Second
)

// lineReader looks up source positions and inlined functions in DWARF data.
type lineReader struct {
	data *dwarf.Data
	held int64
	used time.Duration
	unit []lineUnit
}

// lineUnit is a compilation unit with its line table, decoded when needed.
type lineUnit struct {
	ranges  [][2]uint64
	offset  dwarf.Offset
	entry   *dwarf.Entry
	decoded bool
	rows    []lineRow
	files   []string
}

type lineRow struct {
	addr uint64
	file uint32
	line int32 // zero ends a sequence
}

// newLineReader reads the debug sections; nil without them or when they are
// too large to be cheap.
func newLineReader(a *allowance, f *elf.File) (lr *lineReader) {
	defer func() {
		if recover() != nil { // debug/dwarf panics on some malformed input
			lr = nil
		}
	}()
	info := f.Section(".debug_info")
	if info == nil || f.Section(".debug_line") == nil || info.Size > maxDebugInfo {
		return nil
	}
	var held int64
	read := map[string][]byte{}
	for _, name := range []string{"abbrev", "info", "line", "ranges", "str", "addr", "line_str", "str_offsets", "rnglists"} {
		b := section(a, f, ".debug_"+name, maxDebugInfo)
		read[name] = b
		held += int64(len(b))
	}
	d, err := dwarf.New(read["abbrev"], nil, nil, read["info"], read["line"], nil, read["ranges"], read["str"])
	if err != nil {
		return nil
	}
	for _, name := range []string{"addr", "line_str", "str_offsets", "rnglists"} {
		if err := d.AddSection(".debug_"+name, read[name]); err != nil {
			return nil
		}
	}
	lr = &lineReader{data: d, held: held}
	lr.readUnits()
	return lr
}

func (lr *lineReader) bytes() int64 { return lr.held }

func (lr *lineReader) readUnits() {
	began := time.Now()
	r := lr.data.Reader()
	for len(lr.unit) < 1<<16 && time.Since(began) < lineBudget/2 {
		e, err := r.Next()
		if err != nil || e == nil {
			return
		}
		if e.Tag == dwarf.TagCompileUnit {
			if ranges, err := lr.data.Ranges(e); err == nil && len(ranges) > 0 {
				lr.unit = append(lr.unit, lineUnit{ranges: ranges, offset: e.Offset, entry: e})
			}
		}
		r.SkipChildren()
	}
}

// sourcePosition is one level of a position: the function's name is empty
// for the one that holds the code.
type sourcePosition struct {
	function string
	file     string
	line     int32
}

// at gives the position of addr, innermost inlined function first; the last
// element is the function that holds the code.
func (lr *lineReader) at(addr uint64) (out []sourcePosition) {
	if lr == nil || lr.used > lineBudget {
		return nil
	}
	began := time.Now()
	defer func() {
		lr.used += time.Since(began)
		if recover() != nil {
			lr.used, out = lineBudget+1, nil
		}
	}()
	for i := range lr.unit {
		u := &lr.unit[i]
		if !covers(u.ranges, addr) {
			continue
		}
		lr.decode(u)
		file, line := u.find(addr)
		for _, in := range lr.inlined(u, addr) {
			out = append(out, sourcePosition{in.name, file, line})
			file, line = u.file(in.callFile), in.callLine
		}
		return append(out, sourcePosition{"", file, line})
	}
	return nil
}

func covers(ranges [][2]uint64, addr uint64) bool {
	for _, r := range ranges {
		if addr >= r[0] && addr < r[1] {
			return true
		}
	}
	return false
}

func (lr *lineReader) decode(u *lineUnit) {
	if u.decoded {
		return
	}
	u.decoded = true
	r, err := lr.data.LineReader(u.entry)
	if err != nil || r == nil {
		return
	}
	var e dwarf.LineEntry
	index := map[*dwarf.LineFile]uint32{}
	for i, f := range r.Files() {
		name := ""
		if f != nil {
			name = f.Name
			index[f] = uint32(i)
		}
		u.files = append(u.files, name)
	}
	for len(u.rows) < 1<<20 && r.Next(&e) == nil {
		row := lineRow{addr: e.Address, line: int32(e.Line)}
		if e.EndSequence {
			row.line = 0
		} else if e.File != nil {
			row.file = index[e.File]
		}
		u.rows = append(u.rows, row)
	}
	lr.held += int64(len(u.rows)) * 16
}

func (u *lineUnit) file(i int64) string {
	if i < 0 || i >= int64(len(u.files)) {
		return ""
	}
	return u.files[i]
}

// find scans the rows: sequences are not sorted among each other.
func (u *lineUnit) find(addr uint64) (string, int32) {
	for i := 0; i+1 < len(u.rows); i++ {
		row := &u.rows[i]
		if row.line != 0 && row.addr <= addr && addr < u.rows[i+1].addr {
			return u.file(int64(row.file)), row.line
		}
	}
	return "", 0
}

type inlinedCall struct {
	name     string
	callFile int64
	callLine int32
}

// inlined lists the functions inlined at addr, innermost first.
func (lr *lineReader) inlined(u *lineUnit, addr uint64) []inlinedCall {
	var out []inlinedCall
	r := lr.data.Reader()
	r.Seek(u.offset)
	if e, err := r.Next(); err != nil || e == nil || !e.Children {
		return nil
	}
	inside := false // in the subprogram that covers addr
	for depth := 1; depth > 0; {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if e.Tag == 0 {
			depth--
			if inside && depth == 1 {
				break
			}
			continue
		}
		descend := false
		switch e.Tag {
		case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine, dwarf.TagLexDwarfBlock:
			ranges, err := lr.data.Ranges(e)
			descend = err == nil && covers(ranges, addr)
			if descend && e.Tag == dwarf.TagSubprogram {
				inside = true
			}
			if descend && e.Tag == dwarf.TagInlinedSubroutine && len(out) < maxInlined {
				file, _ := e.Val(dwarf.AttrCallFile).(int64)
				line, _ := e.Val(dwarf.AttrCallLine).(int64)
				out = append(out, inlinedCall{lr.functionName(e, 0), file, int32(line)})
			}
		case dwarf.TagNamespace:
			descend = true
		}
		if e.Children {
			if descend {
				depth++
			} else {
				r.SkipChildren()
			}
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// functionName follows abstract origins to a name.
func (lr *lineReader) functionName(e *dwarf.Entry, depth int) string {
	if name, ok := e.Val(dwarf.AttrLinkageName).(string); ok && name != "" {
		return name
	}
	for _, a := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		if off, ok := e.Val(a).(dwarf.Offset); ok && depth < 8 {
			r := lr.data.Reader()
			r.Seek(off)
			if origin, err := r.Next(); err == nil && origin != nil {
				if name := lr.functionName(origin, depth+1); name != "" {
					return name
				}
			}
		}
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	return name
}
