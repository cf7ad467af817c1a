package otlpprofile

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/internal/profile"
)

// Why samples are left out.
const (
	// ReasonType is of a profile of something else than time on or off the CPU.
	ReasonType = "type"
	// ReasonIndex is of one that points to what its dictionary does not have.
	ReasonIndex = "index"
	// ReasonTime is of one from no time, or too far ahead.
	ReasonTime = "time"
	// ReasonValue is of one that stands for no time, or for more than there can be.
	ReasonValue = "value"
	// ReasonTooMany is of those beyond the bounds of one payload.
	ReasonTooMany = "too_many"
)

const (
	// maxSightings bounds the sightings of one payload: an hour of a busy thread at
	// 49 a second, or some seconds of all threads of a large host.
	maxSightings = 1 << 18
	// maxFrames bounds the frames of all stacks of one payload (about 20 MB),
	// maxDepth those of one stack, from the innermost on; maxLines the functions that
	// are inlined at one place.
	maxFrames = 1 << 18
	maxDepth  = 256
	maxLines  = 16
	// mostOnCPU and mostBlocked are the longest time that one sighting may stand for.
	mostOnCPU, mostBlocked = time.Minute, time.Hour
	// piece is how long a piece of a profile without timestamps is, which has its part
	// of the whole at its end; most bounds the pieces.
	piece      = time.Second
	mostPieces = 60
)

// Decoder reads the profiles of one payload, which share a dictionary.
type Decoder struct {
	dict pprofile.ProfilesDictionary
	// limit is the latest time that is taken, nanoseconds since the Unix epoch.
	limit     int64
	stacks    map[int32]*profile.Stack
	frames    int
	sightings int
	// Refused counts the samples that were left out, by reason.
	Refused map[string]int
}

// NewDecoder starts with a payload; what is later than limit is refused.
func NewDecoder(pd pprofile.Profiles, limit time.Time) *Decoder {
	return &Decoder{dict: pd.Dictionary(), limit: limit.UnixNano(), stacks: map[int32]*profile.Stack{}, Refused: map[string]int{}}
}

// Samples are those of one process. They are nobody else's, but for the stacks, which
// are shared among the samples of one payload.
type Samples struct {
	Samples []profile.Sample
	// Latest is the newest instant of any, nanoseconds since the Unix epoch.
	Latest int64
	// Period is what one sighting on the CPU stands for, zero if there are none;
	// Length is how long the longest profile is.
	Period, Length time.Duration
}

// Read gives the samples of a resource.
func (d *Decoder) Read(rp pprofile.ResourceProfiles) Samples {
	var out Samples
	for _, sp := range rp.ScopeProfiles().All() {
		for _, p := range sp.Profiles().All() {
			d.profile(p, &out)
		}
	}
	return out
}

func (d *Decoder) profile(p pprofile.Profile, out *Samples) {
	m, ok := d.measureOf(p)
	if !ok {
		d.Refused[ReasonType] += p.Samples().Len()
		return
	}
	length := time.Duration(min(p.DurationNano(), uint64(time.Hour)))
	out.Length = max(out.Length, length)
	for _, s := range p.Samples().All() {
		if reason := d.sample(s, m, int64(p.Time()), length, out); reason != "" {
			d.Refused[reason]++
		}
	}
}

// sample adds what one sample says to out, or gives the reason why it does not.
func (d *Decoder) sample(s pprofile.Sample, m measure, start int64, length time.Duration, out *Samples) string {
	times, each, reason := m.sightings(s, start, length)
	if reason != "" {
		return reason
	}
	latest := int64(0)
	for _, at := range times {
		if at <= 0 || at > d.limit {
			return ReasonTime
		}
		latest = max(latest, at)
	}
	if d.sightings += len(times); d.sightings > maxSightings {
		return ReasonTooMany
	}
	stack, reason := d.stack(s.StackIndex())
	if reason != "" {
		return reason
	}
	sample := profile.Sample{Stack: stack, Blocked: m.blocked}
	sample.Thread, sample.Name = d.thread(s)
	if i, links := int(s.LinkIndex()), d.dict.LinkTable(); i > 0 && i < links.Len() {
		sample.Trace, sample.Span = links.At(i).TraceID(), links.At(i).SpanID()
	}
	out.Latest = max(out.Latest, latest)
	if !m.blocked {
		out.Period = max(out.Period, time.Duration(each[0]))
	}
	for len(times) > 0 { // sightings that stand for equally much are one sample
		n := 1
		for n < len(times) && each[n] == each[0] {
			n++
		}
		sample.Times, sample.Each = times[:n:n], each[0]
		out.Samples = append(out.Samples, sample)
		times, each = times[n:], each[n:]
	}
	return ""
}

// thread is who a sample is of, zero when that is not said.
func (d *Decoder) thread(s pprofile.Sample) (id int32, name string) {
	for _, i := range s.AttributeIndices().All() {
		key, value, ok := d.attribute(i)
		switch {
		case !ok:
		case key == "thread.id" && value.Type() == pcommon.ValueTypeInt && value.Int() > 0 && value.Int() < 1<<31:
			id = int32(value.Int())
		case key == "thread.name" && value.Type() == pcommon.ValueTypeStr:
			name = value.Str()
		}
	}
	return id, name
}

func (d *Decoder) attribute(i int32) (key string, value pcommon.Value, ok bool) {
	table := d.dict.AttributeTable()
	if i < 0 || int(i) >= table.Len() {
		return "", value, false
	}
	at := table.At(int(i))
	return d.text(at.KeyStrindex()), at.Value(), true
}

// text is a string of the dictionary, empty when there is none.
func (d *Decoder) text(i int32) string {
	if table := d.dict.StringTable(); i >= 0 && int(i) < table.Len() {
		return table.At(int(i))
	}
	return ""
}

// Count is the number of samples of a resource.
func Count(rp pprofile.ResourceProfiles) (n int) {
	for _, sp := range rp.ScopeProfiles().All() {
		for _, p := range sp.Profiles().All() {
			n += p.Samples().Len()
		}
	}
	return n
}
