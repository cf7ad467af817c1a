// Package tail looks at single execution units instead of a service as a whole: it
// clusters them by the calls that they make and finds those that lie far from the
// others of their cluster (PerfScope, SoCC 2014, sections 3.1 and 3.2). It needs no
// baseline of the service.
package tail
