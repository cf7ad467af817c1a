// Package packaging is a module of its own: it makes the packages and the image
// of a release and checks the chart, so that what these need stays out of the
// components' module. `make packages` and `make test-chart` run it.
package packaging
