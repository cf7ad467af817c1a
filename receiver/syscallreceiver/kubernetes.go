package syscallreceiver

import (
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/pods"
)

// newKeeper makes what tells pods, nil when nothing is to be known of them.
func newKeeper(cfg KubernetesConfig, logger *zap.Logger) (*pods.Keeper, error) {
	var source pods.Source
	switch cfg.Source {
	case PodSourceFiles:
		source = pods.Files{Dir: cfg.LogDirectory}
	case PodSourceAPI:
		api, err := pods.InCluster(cfg.Node)
		if err != nil {
			return nil, err
		}
		source = api
	default:
		return nil, nil //nolint:nilnil // none is asked for
	}
	last := ""
	return pods.NewKeeper(source, cfg.RefreshInterval, func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		// Each trouble is told once, and its end.
		switch {
		case text == last:
			return
		case err != nil:
			logger.Warn("Rules by pod may choose too little: the pods of the node are not known.", zap.Error(err))
		default:
			logger.Info("The pods of the node are known again.")
		}
		last = text
	}), nil
}
