//go:build race

package stack

// raced: the race detector is on, which makes all several times dearer.
const raced = true
