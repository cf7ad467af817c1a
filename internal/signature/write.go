package signature

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// The text of a file. Lines that begin with # and empty ones are ignored.
//
//	perfscope-signatures 1
//	executable "/usr/bin/redis-server"
//	build_id gnu "60f4…"
//	service "orders"
//	arch "amd64"
//	load "redis-benchmark"
//	calls 812345 sequences 203456
//
//	function "flushAppendOnlyFile" in "redis-server" calls 1240 invocations 618 beneath 0
//	  612/612 write, fdatasync
//
// A service is there only for the programs of an interpreter or virtual
// machine, a build_id and a load when they are known. Under a function stand
// its episodes: in how many sequences one ended at a call of the function, and in
// how many at all.
const (
	magic   = "perfscope-signatures"
	version = 1
)

const preamble = `# Function signatures of one program: the system calls by which PerfScope
# tells its functions where no stack is there. Made by the signature exporter.
# right/total is in how many sequences of calls the last one was made by the
# function, and in how many at all.
`

// Write writes the file as text. The same file gives the same text.
func (f *File) Write(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "%s %d\n%s\n", magic, version, preamble)
	fmt.Fprintf(w, "executable %q\n", f.Executable)
	if f.BuildID != "" {
		fmt.Fprintf(w, "build_id %s %q\n", f.BuildIDKind, f.BuildID)
	}
	if f.Service != "" {
		fmt.Fprintf(w, "service %q\n", f.Service)
	}
	fmt.Fprintf(w, "arch %q\n", f.Arch)
	if f.Load != "" {
		fmt.Fprintf(w, "load %q\n", f.Load)
	}
	fmt.Fprintf(w, "calls %d sequences %d\n", f.Calls, f.Sequences)
	for i := range f.Functions {
		fn := &f.Functions[i]
		fmt.Fprintf(w, "\nfunction %s in %s calls %d invocations %d beneath %d\n",
			strconv.Quote(fn.Name), strconv.Quote(fn.Module), fn.Calls, fn.Invocations, fn.Beneath)
		for _, s := range fn.Signatures {
			fmt.Fprintf(w, "  %d/%d %s\n", s.Right, s.Total, s.Episode.Text(f.Arch))
		}
	}
	return w.Flush()
}
