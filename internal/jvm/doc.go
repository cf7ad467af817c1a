// Package jvm asks a Java virtual machine, over its own attach socket, to write
// down where its compiled code is (/tmp/perf-PID.map, JDK 17 or newer), as
// `jcmd PID Compiler.perfmap` does, without a second JVM.
package jvm
