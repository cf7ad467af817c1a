// Package install holds the tests of what a user does to install PerfScope:
// they run the commands of the documentation in empty folders and in small
// installations of Debian.
package install
