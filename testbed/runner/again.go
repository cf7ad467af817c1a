package runner

import (
	"context"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/replay"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Again judges the recording of a scenario's last run.
func Again(ctx context.Context, sc scenario.Scenario, o Options) (Result, error) {
	labels, err := LoadLabels(filepath.Join(o.Out, sc.Name))
	if err != nil {
		return Result{}, err
	}
	anomalies, err := replay.Run(ctx, labels.Recording, replay.Options{})
	return Assess(sc, labels, anomalies), err
}
