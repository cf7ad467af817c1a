package scenario

import "slices"

// thirdExam are more servers and kinds of fault that came when the inference was done, later
// on 2 December; their truths were committed before their first run, whose figures
// docs/accuracy.md has.
func thirdExam() []Scenario {
	return slices.Concat(thirdDaemons(), thirdScripts(), thirdCompiled())
}
