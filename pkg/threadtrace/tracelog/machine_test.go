package tracelog

import (
	"reflect"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestTheMachineTravels(t *testing.T) {
	want := &threadtrace.Machine{
		Start: 1e18, End: 1e18 + 1e9,
		Readings: []threadtrace.Reading{{Measure: threadtrace.MeasureStopped, Value: 7}}, Users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "tar", PID: 9, Value: 1}},
	}
	recs := plog.NewLogRecordSlice()
	AppendMachine(recs, want)
	if !IsRecord(recs.At(0)) {
		t.Error("its record is taken for another's")
	}
	var got *threadtrace.Machine
	if errs := Decode(recs, Handler{Machine: func(m *threadtrace.Machine) { got = m }}); len(errs) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, errs)
	}
	if errs := Decode(recs, Handler{}); len(errs) > 0 {
		t.Errorf("who does not ask for it gets %v", errs)
	}
	recs.At(0).Body().SetStr("rewritten")
	if errs := Decode(recs, Handler{}); len(errs) != 1 {
		t.Errorf("a rewritten record gives %v", errs)
	}
}
