package inference

import "github.com/perfscope/perfscope/pkg/inference/internal/pattern"

// The patterns that have a name. A pattern says what the first suspect does; none is
// an allowed answer.
const (
	PatternDescriptorExhaustion = pattern.DescriptorExhaustion
	PatternBusyFailingCall      = pattern.BusyFailingCall
	PatternPollWithoutSleep     = pattern.PollWithoutSleep
	PatternLockWait             = pattern.LockWait
	PatternSyncWrite            = pattern.SyncWrite
	PatternSleepInRequest       = pattern.SleepInRequest
	PatternStuckCall            = pattern.StuckCall
	PatternBlockedIO            = pattern.BlockedIO
	PatternConnectionChurn      = pattern.ConnectionChurn
	PatternTinyIO               = pattern.TinyIO
	PatternMemoryMapChurn       = pattern.MemoryMapChurn
	PatternLongComputation      = pattern.LongComputation
	PatternResourceExhaustion   = pattern.ResourceExhaustion
	PatternPeerUnreachable      = pattern.PeerUnreachable
)
