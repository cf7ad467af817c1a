// Package scoreboard judges recordings without a Collector, a server or root, in
// minutes: faults whose cause is known, and healthy life, at several phases of the
// hops. It is what decides whether a change of the inference is one for the better.
package scoreboard
