package taillog

// The names of the record of a kind of requests, and of the event on a slow span.
const (
	EventTail        = "perfscope.tail"
	EventSlowRequest = "perfscope.slow_request"
)

// Attributes of both, beside those that an anomaly has: the suspects, the path and
// the search scope. The event on a span has the first function only.
const (
	AttrKind       = "perfscope.tail.kind"
	AttrSource     = "perfscope.tail.source" // spans or units
	AttrRequests   = "perfscope.tail.requests"
	AttrShare      = "perfscope.tail.share"
	AttrThreshold  = "perfscope.tail.threshold" // s
	AttrFast       = "perfscope.tail.fast"      // s
	AttrSlow       = "perfscope.tail.slow"      // s
	AttrTime       = "perfscope.tail.time"      // response or service
	AttrExplained  = "perfscope.tail.explained"
	AttrDifference = "perfscope.tail.difference"
	AttrChange     = "perfscope.tail.change" // share or length
	AttrUsualShare = "perfscope.tail.usual_share"
	AttrUsualSlow  = "perfscope.tail.usual_slow" // s
	AttrPattern    = "perfscope.tail.pattern"
	AttrSummary    = "perfscope.tail.summary"
	AttrEvidence   = "perfscope.tail.evidence" // own or kind
)
