package tracelog

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// AppendMachine appends the record of what is known of the machine.
func AppendMachine(dst plog.LogRecordSlice, m *threadtrace.Machine) {
	rec := dst.AppendEmpty()
	rec.SetEventName(EventMachine)
	rec.SetTimestamp(pcommon.Timestamp(m.Start))
	rec.SetObservedTimestamp(pcommon.Timestamp(m.End))
	rec.Body().SetEmptyBytes().FromRaw(threadtrace.AppendMachine(nil, m))
}

func decodeMachine(rec plog.LogRecord, h Handler) error {
	if rec.Body().Type() != pcommon.ValueTypeBytes {
		return fmt.Errorf("the body is %s, not bytes: was it rewritten on the way?", rec.Body().Type())
	}
	m, err := threadtrace.DecodeMachine(rec.Body().Bytes().AsRaw())
	if err == nil && h.Machine != nil {
		h.Machine(m)
	}
	return err
}
