package scoreboard

import (
	"fmt"
	"io"
)

// Markdown writes the part of docs/accuracy.md that has no line for each scenario: faults
// at every phase of the hops, healthy life, and whether the rate of false alarms that
// is asked for is kept.
func (b *Board) Markdown(w io.Writer) {
	fmt.Fprint(w, `
## At every phase of the hops

The same judgements one by one, as `+"`make scoreboard`"+` prints them: n counts recordings times phases, shares are of n.

| half | n | detected | first | top 3 | top 5 | mean rank | median seconds | pattern | onset within a hop |
|---|---|---|---|---|---|---|---|---|---|
`)
	for _, split := range []string{"report", "tune"} {
		f := b.Faults[split]
		fmt.Fprintf(w, "| %s | %d | %.0f %% | %.0f %% | %.0f %% | %.0f %% | %.1f | %.1f | %.0f %% | %.0f %% |\n",
			split, f.N, 100*f.Detected, 100*f.First, 100*f.Top3, 100*f.Top5, f.Mean, f.MedianSeconds, 100*f.Pattern, 100*f.Onset)
	}
	fmt.Fprintf(w, `
## Healthy life

Servers with nothing wrong, through loads that rise and fall, restarts, backups, bursts and neighbours (`+"`make record-life`"+`): %d anomalies in %.1f service-days, %.1f a day, at most %.1f with 95 %% confidence.
`, b.Healthy.Alarms, b.Healthy.ServiceDays, b.Healthy.PerDay, b.Healthy.Upper95)
	if len(b.Calibration) == 0 {
		return
	}
	fmt.Fprint(w, `
`+"`false_alarms`"+` asks for a rate; this is what the recordings of life give for it (`+"`make scoreboard ARGS=-calibrate`"+`). Where the second figure is the larger one, the promise is not kept.

| asked for, a service and day | given |
|---|---|
`)
	for _, c := range b.Calibration {
		fmt.Fprintf(w, "| %.2g | %.2g |\n", c.AskedPerDay, c.GotPerDay)
	}
}
