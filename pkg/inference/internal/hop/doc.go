// Package hop sums up what was seen of a service over a few seconds. An open hop
// takes events as they come; closed, it says per second what its threads did on
// CPU, where they waited, which calls they made, and how much work that was.
//
// All times in a closed hop are whole nanoseconds per second, which is finer than
// any of them is known: sums of whole numbers are exact in whatever order they are
// taken, so that the same records give the same result to the last bit.
package hop
