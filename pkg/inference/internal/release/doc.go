// Package release compares the hops of one build of a service with those of another:
// what a unit of work costs, and which functions are behind the difference. What was
// renamed, inlined or moved costs the same below some caller, and is no difference.
package release
