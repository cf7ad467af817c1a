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
	"strings"
	"time"

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
	var taken choice
	flags.StringVar(&taken.service, "service", "", "take the records of the service with this `name` only")
	pids := flags.String("pid", "", "take the records of these `processes` only, with commas between")
	flags.DurationVar(&taken.from, "from", 0, "take the records from this `time` after the first, such as 1m30s")
	flags.DurationVar(&taken.to, "to", 0, "take the records up to this `time` after the first")
	burst := flags.Duration("burst", 0, "as if calls had been recorded in bursts of this `length` only, one every two seconds")
	html := flags.String("html", "", "write what was found to a `file` that a browser opens anywhere: the last anomaly with its call tree; further ones to FILE-2.html and so on")
	serve := flags.String("serve", "", "serve the page of the recording at `host:port` until it is interrupted")
	save := flags.String("save", "", "write what was taken to a new `file`, a recording like the first but smaller, without host and container")
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
	taken.pids = names(*pids)
	err := run(ctx, flags.Arg(0), *save, &taken, *burst, names(*truth), shown{*html, *serve})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", explained(err))
		os.Exit(1)
	}
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func run(ctx context.Context, path, save string, taken *choice, burst time.Duration, truth []string, show shown) (err error) {
	var seen replay.Figures
	delivered := seen.Add
	if _, missing := os.Stat(path); missing != nil {
		return missing
	}
	if save != "" {
		copied, done, failed := saving(save)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, done()) }()
		delivered = func(ld plog.Logs) { seen.Add(ld); copied(ld) }
	}
	pick := taken.pick
	if burst > 0 {
		cut := replay.Bursts(burst, replay.BurstPeriod)
		pick = func(ld plog.Logs) { taken.pick(ld); cut(ld) }
	}
	found := 0
	begun := time.Now()
	host, err := show.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Page.Shutdown(context.WithoutCancel(ctx))) }()
	_, err = replay.Run(ctx, path, replay.Options{
		Pick: pick, Delivered: delivered, Host: host, Ended: func() error { return show.write(ctx, host) },
		Told: func(a agent.Anomaly) {
			if a.State != "cleared" {
				found++
			}
			tell(a, truth)
		},
	})
	took := time.Since(begun)
	if err != nil && !errors.Is(err, recording.ErrTruncated) {
		return err
	}
	if seen.Records == 0 {
		return errors.Join(err, fmt.Errorf("%s has no record of the syscall receiver for this: it is another exporter's file, or has nothing of the chosen processes and time", path))
	}
	fmt.Printf("%d events of %s in %s, anomalies: %d\n", seen.Events, strings.Join(seen.Services(), ", "), seen.Recorded().Round(time.Second), found)
	fmt.Printf("replayed in %s: %.0f times as fast as it happened, %.2f million events per second\n",
		took.Round(time.Millisecond), seen.Recorded().Seconds()/took.Seconds(), float64(seen.Events)/took.Seconds()/1e6)
	return err
}

func tell(a agent.Anomaly, truth []string) {
	fmt.Printf("%s  %s  %s", a.Seen.UTC().Format(time.RFC3339), a.Severity, a.Service)
	if a.PID != 0 {
		fmt.Printf(", pid %d", a.PID)
	}
	fmt.Println()
	if a.State == "cleared" { // all the rest was said
		fmt.Printf("\n        %s\n\n", a.Sentence)
		return
	}
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
