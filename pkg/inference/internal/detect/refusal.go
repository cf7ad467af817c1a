package detect

import (
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// A refusal is a failure that is not part of normal work, and that users feel
// though it takes no time: the kernel is out of something, or a peer is gone.
// What is tried and may fail as a matter of course (no such file, would block, a
// client that left) is none.

// scarce are the errnos for something that has run out: ENOMEM, ENFILE, EMFILE,
// ENOSPC, ENOBUFS, EDQUOT. They are the same on amd64 and arm64.
var scarce = []int32{12, 23, 24, 28, 105, 122}

// unreachable are the errnos of a connect whose peer is not there:
// EADDRNOTAVAIL, ENETUNREACH, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH.
var unreachable = []int32{99, 101, 110, 111, 113}

// IsRefusal reports whether a failed call is a refusal.
func IsRefusal(k unit.Key, classes *threadtrace.Classes) bool {
	return slices.Contains(scarce, k.Errno) ||
		slices.Contains(unreachable, k.Errno) && classes.Is(k.Number, threadtrace.ClassConnect)
}
