// Package attribute credits the time that a service has beyond its past to
// functions.
package attribute
