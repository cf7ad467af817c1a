// Package chain follows waits to what they end in. Who waited was woken by somebody; what
// that one did meanwhile is what was waited for, and if it waited itself, so on (Zhou et
// al., wPerf: Generic Off-CPU Analysis to Identify Bottleneck Waiting Events, OSDI 2018).
package chain
