package tail

// moments are the sums of a place over the classes of requests under way.
type moments struct {
	// classes are those of each class, kinds what is known by kind of threads that work for
	// nobody in particular: the time seen there while no slow request of the kind was under
	// way, and while one was. Both are as long as they have to be.
	classes []moment
	kinds   []besides
	// thread is the only one that was seen there, zero where none was, various several.
	thread int32
}

// moment is the time that goes with a class, and the sum of its squares for how uncertain
// that is.
type moment struct{ time, square float64 }

// various is no thread.
const various = int32(-1)

// by notes which thread was seen.
func (m *moments) by(thread int32) {
	switch {
	case thread == 0 || m.thread == thread:
	case m.thread == 0 && thread > 0:
		m.thread = thread
	default:
		m.thread = various
	}
}

// besides is a time without a slow request of some kind under way, and with one.
type besides [2]float64

func (b besides) all() float64 { return b[isFast] + b[isSlow] }

// and adds the sums of another place.
func (m *moments) and(o *moments) {
	m.by(o.thread)
	for class, sum := range o.classes {
		m.addSum(class, sum)
	}
	for kind, b := range o.kinds {
		m.addBeside(kind, isFast, b[isFast])
		m.addBeside(kind, isSlow, b[isSlow])
	}
}

func (m *moments) add(class int, x, time float64) {
	m.addSum(class, moment{x * time, x * x * time * time})
}

func (m *moments) addSum(class int, sum moment) {
	for len(m.classes) <= class {
		m.classes = append(m.classes, moment{})
	}
	m.classes[class].time += sum.time
	m.classes[class].square += sum.square
}

func (m *moments) at(class int) (time, square float64) {
	if class >= len(m.classes) {
		return 0, 0
	}
	return m.classes[class].time, m.classes[class].square
}

func (m *moments) addBeside(kind, class int, time float64) {
	for len(m.kinds) <= kind {
		m.kinds = append(m.kinds, besides{})
	}
	m.kinds[kind][class] += time
}

func (m *moments) beside(kind int) besides {
	if kind >= len(m.kinds) {
		return besides{}
	}
	return m.kinds[kind]
}

// forget drops what is known of a kind.
func (m *moments) forget(kind int) {
	for class := classIndex(kind, isFast); class <= classIndex(kind, isSlow) && class < len(m.classes); class++ {
		m.classes[class] = moment{}
	}
	if kind < len(m.kinds) {
		m.kinds[kind] = besides{}
	}
}

// fade lets the sums lose weight, and returns the most time that is left of a class.
func (m *moments) fade(f float64) (left float64) {
	for i := range m.kinds {
		b := &m.kinds[i]
		b[isFast], b[isSlow] = f*b[isFast], f*b[isSlow]
	}
	for i := range m.classes {
		sum := &m.classes[i]
		sum.time *= f
		sum.square *= f
		if sum.time > left {
			left = sum.time
		}
	}
	return left
}
