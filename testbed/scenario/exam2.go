package scenario

import "slices"

// secondExam are more servers and kinds of fault that came when the inference was done, of
// 2 December; their truths were committed before their first run, whose figures
// docs/accuracy.md has.
func secondExam() []Scenario {
	return slices.Concat(secondDaemons(), secondPython(), secondScripts(), secondCompiled())
}
