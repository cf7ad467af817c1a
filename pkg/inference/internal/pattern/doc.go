// Package pattern says what the abnormal time of an anomaly is made of, and which
// calls moved most.
package pattern
