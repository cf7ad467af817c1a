// Package detect decides whether a service left its baseline. Two questions are
// kept apart: is it real (the evidence of a sequential test on each cell), and does
// it matter (the effect, a share of the service's active time)?
package detect
