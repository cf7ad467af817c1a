// Command scoreboard judges the recordings of faults and of healthy life, for the
// inference as it stands and for others, and says how good each is.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scoreboard"
)

const about = `Usage: scoreboard [flags]

Judges recordings and prints how good the inference is: of faults whose cause is
known, how many it notices and where the true function is among its suspects; of
healthy life, how many alarms it gives. The result is written as JSON, too.

Without flags it judges the corpus of the repository, at five phases of the hops.
With -thin it makes thin recordings of raw ones instead. With -check it fails when
a figure is worse than the frozen one, which -freeze writes.

Columns: n, judgements (recordings times phases); detected, share of faults with an
anomaly; first, top3, top5, share with the true function there; mean, its mean rank
(20 if absent); median, seconds from the fault to the first anomaly; pattern, share
with the right pattern; onset, share
whose first anomaly says within a hop when the fault began.

Flags:
`

type options struct {
	corpus, only  string
	phases        int
	out, thin     string
	service       string
	without       string
	check, freeze bool
	calibrate     bool
	rates         []float64
	document      string
	verbose       bool
}

func main() {
	var o options
	flag.StringVar(&o.corpus, "corpus", "testbed/corpus", "`folders` with one for each recording, separated by commas; of what several have the first counts")
	flag.StringVar(&o.only, "only", "", "`names` of recordings, separated by commas; all by default")
	flag.IntVar(&o.phases, "phases", 5, "at how `many` phases of the hops faults are judged, evenly spaced; 1 or 5 for thin recordings")
	flag.StringVar(&o.out, "out", "testbed/out/scoreboard.json", "`file` of the result")
	flag.StringVar(&o.thin, "thin", "", "make thin recordings in this `folder` instead of judging")
	flag.StringVar(&o.service, "service", "", "only services of this `name` in healthy life")
	flag.StringVar(&o.without, "without", "", fmt.Sprintf("leave out these `rules` of the judge, separated by commas, of %v", inference.Rules()))
	flag.BoolVar(&o.check, "check", false, "fail when a figure is worse than the frozen one")
	flag.BoolVar(&o.freeze, "freeze", false, "freeze the figures")
	flag.BoolVar(&o.calibrate, "calibrate", false, "judge life once more for each of several rates of false alarms that are asked for (minutes)")
	flag.StringVar(&o.document, "document", "", "write the page of the accuracy to this `file`")
	flag.BoolVar(&o.verbose, "v", false, "print every row")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), about)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(o options, out, progress io.Writer) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q; -corpus says where the recordings are", flag.Arg(0))
	case o.phases < 1 || o.phases > 100:
		return fmt.Errorf("%d phases, 1 to 100 make sense", o.phases)
	case (o.check || o.freeze || o.document != "") && (o.only != "" || o.service != "" || o.without != ""):
		return errors.New("frozen figures and the page are those of a whole corpus and judge; leave out -only, -service and -without")
	}
	cfg := inference.DefaultConfig()
	for _, r := range list(o.without) {
		cfg.Without = append(cfg.Without, inference.Rule(r))
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	folders := strings.Split(o.corpus, ",")
	corpus, err := scoreboard.OpenCorpus(folders, list(o.only))
	if err != nil {
		return err
	}
	if o.thin != "" {
		return scoreboard.Convert(corpus, o.thin, progress)
	}
	if corpus.Thin() && o.phases != 1 && o.phases != 5 {
		return errors.New("thin recordings have whole seconds, and a hop has five: judge them at 1 phase or at 5")
	}
	if o.calibrate {
		o.rates = rates
	}
	done, all := 0, len(corpus.Faults)+len(corpus.External)+len(corpus.Life)*(1+len(o.rates))
	board, err := corpus.Judge(scoreboard.Options{
		NewJudge: judge(cfg), Phases: scoreboard.Phases(o.phases), Service: o.service, Rates: o.rates,
		AtRate: func(perDay float64) func(arch string) scoreboard.Judge {
			at := cfg
			at.FalseAlarms = perDay
			return judge(at)
		},
		Done: func(name string) {
			done++
			fmt.Fprintf(progress, "%3d of %d  %s\n", done, all, name)
		},
	})
	if err != nil {
		return err
	}
	show(out, &board, o.verbose)
	if err := runner.WriteJSON(&board, o.out); err != nil {
		return err
	}
	fmt.Fprintf(out, "Result: %s\n", o.out)
	if o.document != "" {
		if err := document(&board, folders[0], o.document); err != nil {
			return err
		}
		fmt.Fprintf(out, "Page: %s\n", o.document)
	}
	return compare(&board, filepath.Join(folders[0], scoreboard.FrozenName), o.check, o.freeze, out)
}

// compare freezes the figures, or says which are worse than the frozen ones.
func compare(b *scoreboard.Board, frozen string, check, freeze bool, out io.Writer) error {
	if freeze {
		fmt.Fprintf(out, "Frozen: %s\n", frozen)
		return scoreboard.Freeze(b).Save(frozen)
	}
	if !check {
		return nil
	}
	was, err := scoreboard.LoadFrozen(frozen)
	if err != nil {
		return err
	}
	if worse := was.Worse(b); len(worse) > 0 {
		return fmt.Errorf("figures are worse than those in %s:\n  %s\nIf that is meant, `make scoreboard ARGS=-freeze` freezes those of now; say why in the commit", frozen, strings.Join(worse, "\n  "))
	}
	fmt.Fprintf(out, "No figure is worse than in %s.\n", frozen)
	return nil
}

func judge(cfg inference.Config) func(arch string) scoreboard.Judge {
	return func(arch string) scoreboard.Judge { return inference.NewAnalyzer(cfg, arch) }
}

// rates are the false alarms a day that are asked for to see whether they are given:
// from the default to one every hour.
var rates = []float64{1.0 / 30, 0.1, 1, 6, 24}

func list(names string) []string {
	if names == "" {
		return nil
	}
	return strings.Split(names, ",")
}
