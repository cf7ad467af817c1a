// Package process tells which processes of a host are which services. It
// reads /proc only, matches what it finds against rules, and gives each target
// its identity: the pid and creation time of the process itself, and the name
// and instance id of the service it belongs to. It starts nothing, writes
// nothing and opens no connection.
//
// Every read is bounded (maxFileBytes, maxLinks), and so is the number of
// processes followed (Config.MaxProcesses) and looked at (maxHostProcesses).
package process
