package inference

import (
	"errors"
	"math"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
)

// Config of an Analyzer.
type Config struct {
	// Window is how much of the past is kept, Hop how often it is judged.
	Window, Hop time.Duration
	// MaxUnits bounds the execution units kept over the whole window.
	MaxUnits int
	// MaxSuspects bounds the functions in one anomaly.
	MaxSuspects int
	// FalseAlarms is how many a day are accepted of one service.
	FalseAlarms float64
	// SlowRequests has the slow requests of a kind compared with its fast ones.
	SlowRequests bool
	// Without are rules to leave out, for measuring; none in service.
	Without []Rule
}

// DefaultConfig is five minutes judged every five seconds.
func DefaultConfig() Config {
	return Config{Window: 5 * time.Minute, Hop: 5 * time.Second, MaxUnits: 12000, MaxSuspects: 10, FalseAlarms: 1.0 / 30, SlowRequests: true}
}

// Validate checks that the figures fit each other.
func (c Config) Validate() error {
	switch {
	case c.Hop < time.Second:
		return errors.New("hop must be at least 1s: fewer samples than that say nothing")
	case c.Window < 2*minPast*c.Hop:
		return errors.New("window must be at least 12 times hop: less is no past to compare with")
	case c.MaxUnits < int(c.Window/c.Hop):
		return errors.New("max units must allow at least one unit per hop")
	case c.MaxSuspects < 1:
		return errors.New("max suspects must be at least 1")
	case !(c.FalseAlarms > 0 && c.FalseAlarms <= 24):
		return errors.New("false alarms must be above 0 and at most 24 a day: without any there is no alarm")
	}
	return c.validateRules()
}

// decision are the thresholds. A sum of log likelihood ratios that begins anew below zero reaches
// a threshold by chance after at least as many hops, on average, as the threshold is the logarithm
// of (Lorden, Annals of Mathematical Statistics 1971): as many as are to pass between two false
// alarms.
func (c Config) decision() detect.Config {
	const day = 24 * time.Hour
	return detect.Config{Evidence: math.Log(float64(day) / float64(c.Hop) / c.FalseAlarms), Share: criteria.Matters, Least: criteria.LeastCPU, Refusals: criteria.Seldom}
}

const (
	// minPast is the number of hops without which there is no past.
	minPast = criteria.MinPast
	// maxOpen bounds the hops that wait for their last events.
	maxOpen = 8
	// maxThreads bounds the threads whose units are followed; those beyond are
	// counted in their hop but have no units.
	maxThreads = 4096
	// forget ends an episode that never did: a service that is different for that
	// long is the service now.
	forget = 30 * time.Minute
	// remind is how often an unchanged episode is reported again.
	remind = time.Minute
)
