// Command perfscope-doctor says whether this host lets PerfScope work:
//
//	sudo perfscope-doctor              # as the caller
//	sudo perfscope-doctor -pid 1234    # with the privileges of a running agent
//
// It loads the eBPF programs, attaches nothing, and ends with 1 when the receiver
// could not start.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/perfscope/perfscope/internal/doctor"
)

func main() {
	pid := flag.Int("pid", 0, "check the privileges of this process, a running agent")
	flag.Parse()
	worst, err := run(*pid)
	if err != nil {
		fmt.Fprintln(os.Stderr, "perfscope-doctor:", err)
	}
	if err != nil || worst == doctor.Fails {
		os.Exit(1)
	}
}

func run(pid int) (doctor.Level, error) {
	if flag.NArg() > 0 {
		return doctor.Fails, fmt.Errorf("no argument is expected, not %q", flag.Args())
	}
	host, err := thisHost(pid)
	if err != nil {
		return doctor.Fails, err
	}
	return doctor.Report(os.Stdout, doctor.Run(host))
}
