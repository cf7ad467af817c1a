// Package profcheck is empty: see go.mod.
package profcheck
