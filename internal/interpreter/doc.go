// Package interpreter reads, from the memory of a running process, which
// functions of its program an interpreter is in: CPython 3.8 to 3.13, PHP 8.2
// and Ruby 3.1.
//
// A native stack of an interpreted program shows the interpreter. Which
// function of the program it runs stands in the interpreter's own frames, which
// are data: a Reader follows them from a variable of the interpreter's, and
// Splice puts them where the interpreter's loop stands on the native stack.
//
// Nothing is stopped and nothing is written: a thread that waits keeps its
// frames at rest, one that runs is seen as it was within a few microseconds.
// What is read is the target's to choose, so nothing of it is trusted: a look
// is bounded in reads, bytes and frames, every text is cleaned, and a target
// that makes a read of its memory hang is left alone for a while (package
// rootfs). It can mislead about itself and about nobody else.
package interpreter
