// Command replay gives a recording to the processor and prints what it finds,
// as the collector would have told it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/recording"
	"github.com/perfscope/perfscope/testbed/replay"
)

const usage = `usage: replay [options] FILE

Gives a recording to the perfscope processor, with its shipped configuration
and as fast as it takes it, and prints what it finds. The same file gives the
same result every time.

A recording is made by a collector that is started with both configurations:

  otelcol-perfscope --config config/agent.yaml --config config/record.yaml

It is done with exit code 0, whatever is found; 1 says that the file could not
be read, or not to its end, 2 that an option is wrong.

`

func main() {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	help := func(to io.Writer) {
		fmt.Fprint(to, usage)
		flags.SetOutput(to)
		flags.PrintDefaults()
	}
	flags.Usage = func() {} // called for help and for errors alike
	truth := flags.String("truth", "", "the `functions` that are really behind it, with commas between: they are marked, and their place told")
	service := flags.String("service", "", "take the records of the service with this `name` only")
	pids := flags.String("pid", "", "take the records of these `processes` only, with commas between")
	save := flags.String("save", "", "write the records that were taken to a `file`, a recording like the first but smaller")
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		help(os.Stdout)
		return
	case err != nil:
		fmt.Fprintln(os.Stderr)
		help(os.Stderr)
		os.Exit(2)
	case flags.NArg() != 1:
		fmt.Fprintf(os.Stderr, "error: one FILE is needed, %d were given; several recordings become one by `cat`, oldest first\n\n", flags.NArg())
		help(os.Stderr)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, flags.Arg(0), *save, chosen(*service, names(*pids)), names(*truth))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", explained(err))
		os.Exit(1)
	}
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// chosen is a choice of processes by their resource.
func chosen(service string, pids []string) func(pcommon.Map) bool {
	return func(resource pcommon.Map) bool {
		name, _ := resource.Get("service.name")
		pid, _ := resource.Get("process.pid")
		return (service == "" || name.AsString() == service) && (len(pids) == 0 || slices.Contains(pids, pid.AsString()))
	}
}

func run(ctx context.Context, path, save string, keep func(pcommon.Map) bool, truth []string) (err error) {
	var seen replay.Figures
	delivered := seen.Add
	if save != "" {
		copied, done, failed := saving(save)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, done()) }()
		delivered = func(ld plog.Logs) { seen.Add(ld); copied(ld) }
	}
	found := 0
	begun := time.Now()
	_, err = replay.Run(ctx, path, replay.Options{
		Keep: keep, Delivered: delivered,
		Told: func(a agent.Anomaly) {
			found++
			tell(a, truth)
		},
	})
	took := time.Since(begun)
	if err != nil && !errors.Is(err, recording.ErrTruncated) {
		return err
	}
	if seen.Records == 0 {
		return errors.Join(err, fmt.Errorf("%s holds no records of the syscall receiver that were asked for; without options it is another exporter's file", path))
	}
	fmt.Printf("%d events of %s in %s, anomalies: %d\n", seen.Events, strings.Join(seen.Services(), ", "), seen.Recorded().Round(time.Second), found)
	fmt.Printf("replayed in %s: %.0f times as fast as it happened, %.2f million events per second\n",
		took.Round(time.Millisecond), seen.Recorded().Seconds()/took.Seconds(), float64(seen.Events)/took.Seconds()/1e6)
	return err
}

// saving copies records to a file; done ends it.
func saving(path string) (each func(plog.Logs), done func() error, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, nil, err
	}
	w, err := recording.NewWriter(file)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	var failed error
	each = func(ld plog.Logs) {
		if failed == nil && ld.ResourceLogs().Len() > 0 {
			failed = w.Write(ld)
		}
	}
	return each, func() error { return errors.Join(failed, w.Close(), file.Close()) }, nil
}

func tell(a agent.Anomaly, truth []string) {
	fmt.Printf("%s  %s  %s", a.Seen.UTC().Format(time.RFC3339), a.Severity, a.Service)
	if a.PID != 0 {
		fmt.Printf(", pid %d", a.PID)
	}
	fmt.Println()
	a.Print(os.Stdout, truth)
	if len(truth) == 0 {
		return
	}
	if rank := a.Rank(truth); rank > 0 {
		fmt.Printf("        the true function is in place %d of %d\n\n", rank, len(a.Suspects))
	} else {
		fmt.Printf("        no true function is among the %d suspects\n\n", len(a.Suspects))
	}
}

// explained says what can be done.
func explained(err error) string {
	switch {
	case errors.Is(err, fs.ErrExist):
		return err.Error() + "; remove it, or choose another name"
	case errors.Is(err, fs.ErrNotExist):
		return err.Error() + "; is the collector started with config/record.yaml, too?"
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + "; the collector writes it as root: read it as root, or copy it"
	case errors.Is(err, recording.ErrTruncated):
		return err.Error() + "; what is above is the result of all before. Stop the collector to have the rest"
	case errors.Is(err, context.Canceled):
		return "interrupted; what is above is the result of a part"
	}
	return err.Error()
}
