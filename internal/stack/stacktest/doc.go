// Package stacktest helps tests of internal/stack: it takes the registers and
// a piece of the stack of a live thread with ptrace, which is slow but owes
// nothing to the code under test, and it starts real servers on loopback.
package stacktest
