package tail

// maxKinds bounds the kinds of requests of a service; those beyond are not looked at.
const maxKinds = 12

// kind is a kind of requests.
type kind struct {
	name string
	// spans is set when its requests are spans or what goroutines did, and not execution
	// units, goroutines when they are the latter.
	spans, goroutines bool
	// variant is set when it has a part of the units of another kind; id tells those apart.
	variant Variant
	id      int
	// recent is a ring, next where the next one goes.
	recent []took
	next   int
	// fresh counts the requests since the split was looked for.
	fresh int
	split split
	known bool
	sizes sizes
	// median is that of the last durations.
	median float64
	// of has the fast and the slow requests that were pooled, both fading.
	of   [2]pooled
	past past
}

// pooled is what is known of the fast or slow requests of a kind: how many, how long
// they took together, and how much of that was looked at, in nanoseconds.
type pooled struct{ n, time, looked float64 }

const (
	isFast = 0
	isSlow = 1
)

func (k *kind) add(r *Request) {
	t := took{time: r.duration(), class: classOf(r.Size)}
	k.fresh++
	k.past.add(t.time/k.costs(t.class), r.End)
	if len(k.recent) < maxRecent {
		k.recent = append(k.recent, t)
		return
	}
	k.recent[k.next%maxRecent] = t
	k.next++
}

// resplit looks where the border is now, and reports whether it is another one.
func (k *kind) resplit() (changed bool) {
	if k.fresh == 0 {
		return false
	}
	k.fresh = 0
	k.sizes = sizesOf(k.recent)
	d := make([]float64, len(k.recent))
	for i, t := range k.recent {
		d[i] = t.time / k.sizes[t.class]
	}
	now, ok := findSplit(d, k.split.threshold)
	k.median = d[len(d)/2]
	switch {
	case ok && k.known && now.threshold == k.split.threshold:
		k.split.median = now.median
		return false
	case !ok && !k.known:
		return false
	}
	k.split, k.known = now, ok
	return true
}

// counts reports whether it is known how long a request took, or that it was long: of
// those of which the end was not seen only the long ones have much to tell.
func (k *kind) counts(r *Request) bool {
	return !r.Part || r.Begun && k.median > 0 && r.duration() >= longer*k.median
}

// costs is what requests of a size take, relative to the median of the kind.
func (k *kind) costs(class int) float64 { return max(1, k.sizes[class]) }

// class tells whether a request is slow.
func (k *kind) class(r *Request) int {
	if k.known && r.duration()/k.costs(classOf(r.Size)) >= k.split.threshold {
		return isSlow
	}
	return isFast
}
