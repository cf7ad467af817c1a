// Package signature recognises functions by the system calls they make, where
// no stack is there to name them (PerfScope, SoCC 2014, section 3.3).
//
// Offline, a Miner is given the calls of a run with a stack at every call. It
// looks at the invocations of each function, the maximal runs of calls of one
// thread with the function on the stack, and finds the episodes that are
// frequent in them: calls in order, with gaps allowed. Where those do not tell
// the function from the rest of the program, what led into the invocation may.
// It keeps the few that name most of its calls, and a File is what they are
// written down in. Online, a Matcher follows the calls of a thread through one
// automaton over all episodes and says which functions are on the stack.
//
// Both cut a thread's calls the same way: a sequence begins with an idle wait,
// which is where an execution unit begins, and ends before the next one.
package signature
