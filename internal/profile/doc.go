// Package profile takes the samples of other profilers as evidence: it names their
// frames as the receiver names its own, says which process a sample is of, and
// decides whose samples of a service count. It knows neither the Collector nor how
// the samples are encoded.
package profile
