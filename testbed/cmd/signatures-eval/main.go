// Command signatures-eval runs real servers under load with a stack at every
// call, mines one half of what they did, and says how well the functions of the
// other half are told without the stacks. It writes testbed/out/signatures.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/signatures"
)

// The aim of every server.
const (
	aimPrecision = 0.9
	aimRecall    = 0.6
)

func main() {
	recorded := flag.Bool("recorded", false, "judge the recordings of the last runs again instead of running the servers")
	duration := flag.Duration("duration", 45*time.Second, "how long each server runs")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: signatures-eval [flags] [server ...]\n\nservers: %s\n\nflags:\n", strings.Join(names(), ", "))
		flag.PrintDefaults()
	}
	flag.Parse()
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		chosen, err := choose(flag.Args())
		if err != nil {
			return false, err
		}
		return evaluate(ctx, chosen, o, *duration, *recorded)
	})
}

func names() []string {
	var list []string
	for _, s := range signatures.Subjects() {
		list = append(list, s.Name)
	}
	return list
}

func choose(wanted []string) ([]signatures.Subject, error) {
	all := signatures.Subjects()
	if len(wanted) == 0 {
		return slices.DeleteFunc(all, func(s signatures.Subject) bool { return s.More }), nil
	}
	var chosen []signatures.Subject
	for _, name := range wanted {
		i := slices.IndexFunc(all, func(s signatures.Subject) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no server %q: it is one of %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// evaluate goes through the servers; one that fails does not end it. It reports
// whether all reached the aim.
func evaluate(ctx context.Context, chosen []signatures.Subject, o runner.Options, d time.Duration, recorded bool) (bool, error) {
	var rows []signatures.Row
	var failed error
	good := true
	for _, s := range chosen {
		if ctx.Err() != nil {
			break
		}
		row, err := one(ctx, s, o, d, recorded)
		if err != nil {
			row.Error = err.Error()
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
		}
		rows = append(rows, row)
		good = good && row.Precision >= aimPrecision && row.Recall >= aimRecall
	}
	file := filepath.Join(o.Out, "signatures.json")
	failed = errors.Join(failed, runner.WriteJSON(rows, file))
	print(rows)
	return good, failed
}

func one(ctx context.Context, s signatures.Subject, o runner.Options, d time.Duration, recorded bool) (signatures.Row, error) {
	x := signatures.Paths(o, s)
	language, err := s.Language()
	if err != nil {
		return signatures.Row{Server: s.Name}, err
	}
	if !recorded {
		fmt.Printf("%s: %s under load, with a stack at every call\n", s.Name, d)
		if x, err = signatures.Extract(ctx, s, o, d, true); err != nil {
			return signatures.Row{Server: s.Name, Language: language}, err
		}
		fmt.Printf("%s: %.0f requests per second answered\n", s.Name, x.Load.PerSecond)
	}
	row, f, err := signatures.Evaluate(x.Recording)
	row.Server, row.Language = s.Name, language
	if err != nil {
		return row, err
	}
	// What was mined of the first half, to look at.
	out, err := os.Create(filepath.Join(filepath.Dir(x.Recording), "half.signatures"))
	if err != nil {
		return row, err
	}
	return row, errors.Join(f.Write(out), out.Close())
}

func print(rows []signatures.Row) {
	fmt.Printf("\n%-10s %-5s %9s %9s %7s %9s %14s %11s %9s %8s %9s\n", "server", "lang", "functions", "precision", "recall", "constant",
		"call precision", "call recall", "innermost", "ns/event", "units")
	for _, r := range rows {
		if r.Error != "" {
			fmt.Printf("%-10s %-5s %s\n", r.Server, r.Language, r.Error)
			continue
		}
		fmt.Printf("%-10s %-5s %9d %9.3f %7.3f %9.3f %14.3f %11.3f %9.3f %8.1f %9d\n", r.Server, r.Language, r.Functions,
			r.Precision, r.Recall, r.Constant, r.CallPrecision, r.CallRecall, r.Innermost, r.NsPerEvent, r.Units)
	}
	fmt.Println()
	for _, r := range rows {
		for _, c := range r.Confusions[:min(3, len(r.Confusions))] {
			fmt.Printf("%s: %s was told at %d calls of %s\n", r.Server, c.Told, c.Calls, c.Really)
		}
	}
	fmt.Printf("\nResult: testbed/out/signatures.json. The aim is a precision of %.1f at a recall of %.1f or better.\n", aimPrecision, aimRecall)
}
