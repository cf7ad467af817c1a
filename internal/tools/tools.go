// Package tools is a module of its own: it pins the programs that build this
// project (the collector builder and the component metadata generator), so
// that their dependencies stay out of the components'. `make` builds them into
// bin/ from the tool block of go.mod.
package tools
