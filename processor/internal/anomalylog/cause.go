package anomalylog

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/pkg/inference"
)

// Attributes of what the time of an anomaly was lost to.
const (
	AttrCauseKind     = "perfscope.cause.kind"
	AttrCauseShare    = "perfscope.cause.share"
	AttrCauseResource = "perfscope.cause.resource"
	AttrCauseUsers    = "perfscope.cause.users"
	AttrAllCauses     = "perfscope.anomaly.causes"
	AttrVictims       = "perfscope.cause.victims"
	AttrHit           = "perfscope.hit"
)

// describeCauses writes the first cause also flat: most backends search no nested values.
func describeCauses(a *inference.Anomaly, dst pcommon.Map) {
	if len(a.Causes) == 0 {
		return
	}
	describeCause(&a.Causes[0], dst)
	list := dst.PutEmptySlice(AttrAllCauses)
	for i := range a.Causes {
		describeCause(&a.Causes[i], list.AppendEmpty().SetEmptyMap())
	}
	describeNames(AttrVictims, a.Victims, dst)
	var hit []string
	for i := range a.Hit[:min(len(a.Hit), maxNames)] {
		hit = append(hit, a.Hit[i].Function)
	}
	describeNames(AttrHit, hit, dst)
}

func describeCause(c *inference.Cause, dst pcommon.Map) {
	dst.PutStr(AttrCauseKind, string(c.Kind))
	dst.PutDouble(AttrCauseShare, c.Share)
	putText(dst, AttrCauseResource, c.Resource)
	users := make([]string, len(c.Users))
	for i := range c.Users {
		users[i] = c.Users[i].Name
	}
	describeNames(AttrCauseUsers, users, dst)
}
