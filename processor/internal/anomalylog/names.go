package anomalylog

// Event is the name of an anomaly as a log record and as a span event.
const Event = "perfscope.anomaly"

// Attributes of an anomaly. The log record carries all of them, but for the
// summary, which is its body; a span event those that Short has.
const (
	AttrID         = "perfscope.anomaly.id"
	AttrKind       = "perfscope.anomaly.kind"
	AttrScore      = "perfscope.anomaly.score"
	AttrConfidence = "perfscope.anomaly.confidence"
	AttrPattern    = "perfscope.anomaly.pattern"
	AttrImpact     = "perfscope.anomaly.impact"
	AttrWarmup     = "perfscope.anomaly.warmup"
	AttrSummary    = "perfscope.anomaly.summary"
	AttrRepeat     = "perfscope.anomaly.repeat"
	AttrStart      = "perfscope.anomaly.start" // RFC 3339
	AttrEnd        = "perfscope.anomaly.end"   // RFC 3339
	AttrState      = "perfscope.anomaly.state"
	AttrEnding     = "perfscope.anomaly.ending"
	AttrOnset      = "perfscope.anomaly.onset"      // RFC 3339
	AttrDuration   = "perfscope.anomaly.duration"   // s, from the onset
	AttrLost       = "perfscope.anomaly.time_lost"  // s
	AttrSeen       = "perfscope.anomaly.seen"       // times, this one among them
	AttrSeenFirst  = "perfscope.anomaly.seen_first" // RFC 3339
	AttrFirst      = "perfscope.anomaly.first_seen" // RFC 3339
	AttrLast       = "perfscope.anomaly.last_seen"  // RFC 3339
	AttrSuspects   = "perfscope.suspects"
	AttrNames      = "perfscope.suspect.names"
	AttrSuspect    = "perfscope.suspect.score"
	AttrEvidence   = "perfscope.suspect.evidence"
	AttrGain       = "perfscope.suspect.gain"
	AttrChain      = "perfscope.wait_chain"
	AttrScope      = "perfscope.search_scope"
	AttrPath       = "perfscope.path"
	AttrOrder      = "perfscope.order"
	AttrThreads    = "perfscope.threads"
	AttrDeviations = "perfscope.deviations"
	AttrModule     = "perfscope.module"
	AttrFunction   = "code.function.name"
	AttrFile       = "code.file.path"
	AttrLine       = "code.line.number"
	AttrURL        = "perfscope.anomaly.url"
)

// Attributes of the event on a span beside the anomaly's: how the two were
// tied to each other.
const (
	AttrMatchResource   = "perfscope.match.resource"
	AttrMatchBy         = "perfscope.match.by"
	AttrMatchConfidence = "perfscope.match.confidence"
	AttrPeerService     = "service.peer.name"
)
