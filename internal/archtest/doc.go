// Package archtest holds the direction of imports: components import domain
// packages, domain packages import neither components nor the Collector. The
// inference then runs on a recorded file, on any operating system, and the
// capture can be replaced without touching it. It has tests only.
package archtest
