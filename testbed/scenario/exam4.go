package scenario

import "slices"

// fourthExam are more servers and kinds of program that came when the inference was done,
// still later on 2 December; their truths were committed before their first run, whose figures
// docs/accuracy.md has.
func fourthExam() []Scenario {
	return slices.Concat(fourthDaemons(), fourthScripts(), fourthCompiled())
}
