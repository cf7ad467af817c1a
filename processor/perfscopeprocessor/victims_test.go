package perfscopeprocessor

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// bodies are the services of records with their state and the victims they name.
func bodies(sinks ...*consumertest.LogsSink) (out []string) {
	for _, sink := range sinks {
		for _, ld := range sink.AllLogs() {
			for _, rl := range ld.ResourceLogs().All() {
				attrs := rl.ScopeLogs().At(0).LogRecords().At(0).Attributes()
				out = append(out, anomalylog.Text(rl.Resource().Attributes(), "service.name")+" "+
					anomalylog.Text(attrs, anomalylog.AttrState)+anomalylog.Text(attrs, anomalylog.AttrVictims))
			}
		}
	}
	return out
}

// TestServicesThatLackTheSameAreOneRecord: the one that is hit first tells of it, and of
// the others; when it is over for that one, the next tells.
func TestServicesThatLackTheSameAreOneRecord(t *testing.T) {
	lacking := func(kind inference.CauseKind, start int64) inference.Anomaly {
		a := anomalyAt(start)
		a.Suspects, a.Causes = nil, []inference.Cause{{Kind: kind, Share: 1, Resource: "vda"}}
		return a
	}
	over := func(a inference.Anomaly, at int64) inference.Anomaly {
		return a.Clear(at, at+5*sec, inference.EndRecovered)
	}
	first, second := lacking(inference.CauseDisk, epoch+5*sec), lacking(inference.CauseDisk, epoch+10*sec)
	for _, c := range []struct {
		name  string
		other inference.CauseKind
		want  []string
	}{
		{"the same", inference.CauseDisk, []string{"a raised", `a updated["b"]`, "b raised", "a cleared", "b cleared"}},
		{"another", inference.CauseMemory, []string{"a raised", "b raised", "b updated", "a cleared", "b cleared"}},
		{"its own code", inference.CauseCode, []string{"a raised", "b raised", "b updated", "a cleared", "b cleared"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := second
			other.Causes = []inference.Cause{{Kind: c.other, Share: 1, Resource: "vda"}}
			later := other
			later.State, later.Start, later.End = inference.StateUpdated, epoch+25*sec, epoch+30*sec
			made := 0
			p := newPipelines(t, func() analyzer {
				if made++; made == 1 {
					return &scripted{at: map[int64]inference.Anomaly{epoch + 10*sec: first, epoch + 25*sec: over(first, epoch+20*sec)}}
				}
				return &scripted{at: map[int64]inference.Anomaly{epoch + 15*sec: other, epoch + 30*sec: later, epoch + 40*sec: over(later, epoch+35*sec)}}
			}, nil).start(t)
			for s := range int64(45) {
				p.second(t, "a", epoch+s*sec)
				p.second(t, "b", epoch+s*sec)
			}
			p.sync(t)
			got := bodies(p.outLogs, p.cleared)
			assert.Equal(t, c.want, got)
			assert.False(t, slices.Contains(got, "b updated"+`["a"]`))
			assert.Empty(t, p.engine.victims, "nobody lacks anything any more")
			p.stop(t)
		})
	}
}

// TestAServiceThatIsForgottenIsNoVictim: what is held is bounded by the services held.
func TestAServiceThatIsForgottenIsNoVictim(t *testing.T) {
	v := victims{}
	a := inference.Anomaly{Causes: []inference.Cause{{Kind: inference.CauseDisk, Resource: "vda"}}}
	one, two, three := &service{name: "one"}, &service{name: "two"}, &service{name: "three"}
	for _, s := range []*service{one, two, three, two} {
		v.join(s, &a)
	}
	assert.Equal(t, []string{"two", "three"}, v.of(one))
	v.leave(one)
	assert.Equal(t, []string{"three"}, v.of(two))
	v.leave(three)
	v.leave(two)
	v.leave(two)
	assert.Empty(t, v)
}
