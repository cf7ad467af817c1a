package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/evaluation"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/scoreboard"
)

// examFile, in a corpus, has what was measured once of faults that nothing had seen, and
// cannot be measured again.
const examFile = "exam.md"

// document writes the page of the accuracy, of a corpus in a folder.
func document(b *scoreboard.Board, corpus, path string) (err error) {
	exam, err := os.ReadFile(filepath.Join(corpus, examFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	evaluation.Markdown(file, recordings(b.Rows))
	b.Markdown(file)
	_, err = file.Write(exam)
	return err
}

// recordings sums up the rows of each recording, which follow each other, over the
// phases of the hops.
func recordings(rows []scoreboard.FaultRow) (out []evaluation.Row) {
	for _, sc := range scenario.All() {
		row := evaluation.Row{
			Scenario: sc.Name, Server: sc.Server, Language: sc.Language, Kind: sc.Kind, Source: sc.Source, Split: sc.Split, Truth: sc.Truth,
			SecondsToFirst: -1,
		}
		var ranks []int
		var seconds []float64
		for _, r := range rows {
			if r.Scenario != sc.Name {
				continue
			}
			row.Runs++
			row.FalseAlarms += r.Before
			ranks = append(ranks, r.Rank)
			if r.Baselines != nil {
				row.Baselines = *r.Baselines
			}
			if !r.Detected {
				continue
			}
			row.Detected++
			seconds = append(seconds, r.Seconds)
			if row.Pattern == "" || r.Right {
				row.Pattern = r.Pattern
			}
			if r.Right {
				row.PatternRight++
			}
		}
		if row.Runs == 0 {
			continue
		}
		row.Rank = evaluation.Median(ranks)
		if slices.Sort(seconds); len(seconds) > 0 {
			row.SecondsToFirst = seconds[len(seconds)/2]
		}
		out = append(out, row)
	}
	return out
}
