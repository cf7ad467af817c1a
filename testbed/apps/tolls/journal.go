package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"strings"
	"time"
)

// waiting is how many passages may wait to be written.
const waiting = 64

type passage struct {
	plate string
	at    time.Time
}

type journal struct{ passages chan passage }

func newJournal(out io.Writer) *journal {
	j := &journal{passages: make(chan passage, waiting)}
	go j.write(bufio.NewWriter(out))
	return j
}

// record hands a passage to the journal.
func (j *journal) record(p passage) { j.passages <- p }

// write writes what is recorded.
func (j *journal) write(out *bufio.Writer) {
	for p := range j.passages {
		if err := check(p.plate); err != nil {
			// The mistake: one passage that cannot be written ends it, and nobody
			// takes the others any more.
			log.Print(err)
			return
		}
		fmt.Fprintf(out, "%s %s\n", p.at.Format(time.RFC3339Nano), p.plate)
		if err := out.Flush(); err != nil {
			log.Print(err)
			return
		}
	}
}

func check(plate string) error {
	if strings.ContainsFunc(plate, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%q is no number plate", plate)
	}
	return nil
}
