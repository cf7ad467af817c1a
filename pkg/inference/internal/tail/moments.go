package tail

// moments are the sums of a place over the classes of requests under way: of the time
// seen there, and of its square for how uncertain that is.
type moments struct {
	time, square []float64
	// beside is, by kind, the time seen there on threads that work for nobody in
	// particular while no slow request of the kind was under way, and while one was.
	beside [maxKinds]besides
	// thread is the only one that was seen there, zero where none was, various several.
	thread int32
}

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
	for class := range o.time {
		for len(m.time) <= class {
			m.time, m.square = append(m.time, 0), append(m.square, 0)
		}
		m.time[class] += o.time[class]
		m.square[class] += o.square[class]
	}
	for k := range o.beside {
		m.beside[k][isFast] += o.beside[k][isFast]
		m.beside[k][isSlow] += o.beside[k][isSlow]
	}
}

func (m *moments) add(class int, x, time float64) {
	for len(m.time) <= class {
		m.time, m.square = append(m.time, 0), append(m.square, 0)
	}
	m.time[class] += x * time
	m.square[class] += x * x * time * time
}

func (m *moments) at(class int) (time, square float64) {
	if class >= len(m.time) {
		return 0, 0
	}
	return m.time[class], m.square[class]
}
