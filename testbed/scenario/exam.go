package scenario

import "slices"

// exam are servers and kinds of fault that came when the inference was done; their truths
// were committed before their first run, whose figures docs/accuracy.md has.
func exam() []Scenario { return slices.Concat(examDaemons(), examScripts(), examCompiled()) }
