// Package rootfs is the one door to what a target process controls: its files,
// and what the kernel reads out of its memory for /proc.
//
// A target may put anything where a file is expected, and may let a reader
// wait for ever: a device, a FIFO, a link out of its root, a file on a file
// system that hangs, a memory map whose lock is held. So a path is followed
// below the target's own root only (openat2 with RESOLVE_IN_ROOT and
// RESOLVE_NO_MAGICLINKS), a file is opened only once it is known to be a
// regular one, its size is known before a byte is read, and every step has a
// deadline: the thread that waits is given up, and the process, or the remote
// file system behind the file, is left alone for a while ([Door.Quarantine]).
// The threads given up are bounded in all and per user.
//
// Nothing is written through a target's path, with one exception: a JVM is
// asked for its attach socket by an empty file of a fixed name, made
// exclusively inside of the target's own root ([Door.Mark]).
package rootfs
