package tail

// maxKinds bounds the kinds of requests of a service; those beyond are not looked at.
const maxKinds = 12

// kind is a kind of requests.
type kind struct {
	name string
	// spans is set when its requests are spans or what goroutines did, and not execution
	// units, goroutines when they are the latter.
	spans, goroutines bool
	// variant is set when it has a part of the units of another kind, nil when it has all; id tells
	// those apart.
	variant *Variant
	id      int
	// recent is a ring, next where the next one goes.
	recent []took
	next   int
	// fresh counts the requests since the split was looked for.
	fresh int
	split split
	known bool
	sizes sizes
	// sized is set once the size of a request was known.
	sized bool
	// median is that of the last durations, average their mean. chance adds up how likely
	// it is to be kept.
	median, average, chance float64
	// of has the fast and the slow requests that were pooled, both fading.
	of   [2]pooled
	past past
}

// pooled is what is known of the fast or slow requests of a kind: how many began while that
// could be seen, how many are known in all, how long these took together, and how much was
// looked at, in nanoseconds.
type pooled struct{ n, known, time, looked float64 }

const (
	isFast = 0
	isSlow = 1
)

func (k *kind) add(r *Request, weight float64) {
	t := took{time: r.duration(), own: r.took(true), first: r.first, weight: weight, class: classOf(r.Size), begun: !r.Part || r.Begun}
	k.fresh++
	k.sized = k.sized || t.class > 0
	if t.begun {
		k.past.add(t.by(k.split.served)/k.costs(t.class), r.End)
	}
	if r.Unit && !k.keep(&t) {
		return
	}
	if len(k.recent) < maxRecent {
		k.recent = append(k.recent, t)
		return
	}
	k.recent[k.next%maxRecent] = t
	k.next++
}

// keep chooses what is kept where room is short, each with about as much time, so that long ones are not lost
// among many short ones (turns of an event loop, in which hardly anything happens). What is
// kept stands for what is not.
func (k *kind) keep(t *took) bool {
	if len(k.recent) < maxRecent/2 || t.time >= k.average {
		return true
	}
	part := t.time / k.average
	if k.chance += part; k.chance < 1 {
		return false
	}
	k.chance--
	t.weight /= part
	return true
}

// inLine is the share of their time that requests are served below which most of it is spent
// in line, and what is slow is told by how long they are served, outOfLine up to what that
// stays so.
const inLine, outOfLine = 0.5, 0.7

// resplit looks where the border is now, and reports whether it is another one.
func (k *kind) resplit(w *workspace) (changed bool) {
	if k.fresh == 0 {
		return false
	}
	k.fresh = 0
	all, times, own := 0.0, 0.0, 0.0
	for i := range k.recent {
		t := &k.recent[i]
		all, times, own = all+t.weight, times+t.weight*t.time, own+t.weight*t.own
	}
	k.average = share(times, all)
	was := k.split
	served := own < inLine*times || was.served && own < outOfLine*times
	now, ok := k.border(w, served)
	if !ok && own < times {
		now, ok = k.border(w, !served)
	}
	if !ok {
		now = split{served: was.served}
	}
	switch {
	case ok && k.known && now.threshold == was.threshold && now.served == was.served:
		k.split.median = now.median
		return false
	case !ok && !k.known:
		return false
	}
	if k.split, k.known = now, ok; now.served != was.served {
		k.past = past{} // of another measure
	}
	return true
}

// border looks for the border, by how long requests were under way or by how long they were
// served: where most are in line behind slow ones, how long they take has no tail. Of those
// that found nobody it is known how long they were served, and they are as any other: who
// comes does not know who is there. So they tell where the border is; of units it is always
// known.
func (k *kind) border(w *workspace, served bool) (split, bool) {
	sizes, was := k.sizesOf(served), 0.0
	w.took = w.took[:0]
	for i := range k.recent {
		if t := &k.recent[i]; k.tells(t, served) {
			w.took = append(w.took, timed{t.by(served) / sizes[t.class], t.weight})
		}
	}
	if len(w.took) == 0 {
		return split{}, false
	}
	if k.split.served == served {
		was = k.split.threshold
	}
	now, ok := w.findSplit(was)
	now.served = served
	if ok || !served {
		k.sizes, k.median = sizes, now.median
	}
	return now, ok
}

// tells reports whether it is known of a request how long it took, or was served.
func (k *kind) tells(t *took, served bool) bool { return !served || t.first || !k.spans }

// count counts how many of the last requests are slow and fast.
func (k *kind) count() {
	k.of[isFast].n, k.of[isSlow].n = 0, 0
	for _, t := range k.recent {
		if t.begun {
			k.of[k.classOf(t.by(k.split.served), t.class)].n += t.weight
		}
	}
}

// weight is for how many requests one stands of which it is known how long it took, or that
// it was long: of those of which the end was not seen only the long ones have much to tell.
// They are met at any time, others only while calls are recorded, which is a share of it.
func (k *kind) weight(r *Request, recorded float64) float64 {
	switch {
	case !r.Part:
		return 1
	case k.median <= 0 || r.took(k.split.served) < longer*k.median:
		return 0
	case r.Begun:
		return 1
	case r.Alone:
		return recorded
	}
	return 0
}

// costs is what requests of a size take, relative to the median of the kind.
func (k *kind) costs(class uint8) float64 { return max(1, k.sizes[class]) }

// class tells whether a request is slow.
func (k *kind) class(r *Request) int { return k.classOf(r.took(k.split.served), classOf(r.Size)) }

func (k *kind) classOf(duration float64, size uint8) int {
	if k.known && duration/k.costs(size) >= k.split.threshold {
		return isSlow
	}
	return isFast
}
