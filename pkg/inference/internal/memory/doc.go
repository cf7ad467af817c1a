// Package memory is what is known of a service in a form that outlives the process
// that learned it: the hops of its past, what it is like after a start, states that
// it was in before, and how it was when it was last heard of. It can be written and
// read, in any table of stacks, and is bounded.
package memory
