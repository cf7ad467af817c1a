package interpreter

import "github.com/perfscope/perfscope/pkg/threadtrace"

// Call is one call of the interpreter's loop: the functions of the program that it
// ran, innermost first. Cut is set on the last one when the frames beyond it, or some
// of its own, are not known: the look came to its bound, or failed there.
type Call struct {
	Frames []threadtrace.Frame
	Cut    bool
}

// callList gathers frames from the innermost out.
type callList struct {
	done []Call
	open Call
	n    int
}

// full reports whether there is no room for another frame.
func (c *callList) full() bool { return c.n >= maxFrames }

func (c *callList) add(f threadtrace.Frame) {
	c.open.Frames = append(c.open.Frames, f)
	c.n++
}

// end ends a call; without frames of the program it was none.
func (c *callList) end() {
	if len(c.open.Frames) > 0 {
		c.done = append(c.done, c.open)
		c.open = Call{}
	}
}

// all ends the list.
func (c *callList) all() []Call {
	c.end()
	return c.done
}

// cut ends the list where what is outside is not known.
func (c *callList) cut() []Call {
	c.open.Cut = true
	c.end()
	if len(c.done) > 0 {
		c.done[len(c.done)-1].Cut = true
	}
	return c.done
}
