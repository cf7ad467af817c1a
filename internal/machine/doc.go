// Package machine reads what services lack of the machine they run on, and who uses it
// meanwhile: CPU quotas and memory limits of control groups (version 1 and 2), CPU time
// and steal of the host, its disks, its other processes, and the TCP connections of the
// services. It reads files below /proc and the control groups, and asks the kernel for
// sockets; it writes nothing. What is missing on a host is left out.
package machine
