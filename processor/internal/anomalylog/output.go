package anomalylog

import "fmt"

// Output says where a processor writes what it finds: its option output.
type Output string

// The outputs.
const (
	// OutputBoth writes log records and span events.
	OutputBoth Output = "both"
	// OutputLogs writes log records only; spans pass through untouched.
	OutputLogs Output = "logs"
	// OutputSpanEvents writes span events only.
	OutputSpanEvents Output = "span_events"
)

// ToLogs reports whether log records are written.
func (o Output) ToLogs() bool { return o != OutputSpanEvents }

// ToSpans reports whether span events are written.
func (o Output) ToSpans() bool { return o != OutputLogs }

// Check returns what is wrong with the option.
func (o Output) Check() []error {
	switch o {
	case OutputBoth, OutputLogs, OutputSpanEvents:
		return nil
	}
	return []error{fmt.Errorf("output is %q; it must be both, logs or span_events", o)}
}
