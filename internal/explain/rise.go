package explain

const (
	// leastRise is by how many times, and leastMore by how many calls a second, a
	// call that is waited in, or refused, must have risen to be named: half a decimal order, beyond
	// what a doubled load or a changed mix of requests brings. leastMoreOther is that
	// of other calls: few of them cost nobody anything.
	leastRise      = 3.0
	leastMore      = 1.0
	leastMoreOther = 20.0
	// failing is how many times more a call that fails tells: so many fewer are worth
	// a word.
	failing = 4.0
)

// signals are how a signal handler ends and a call that a signal interrupted goes on: no
// function makes them, whatever was on the stack.
var signals = map[string]bool{"rt_sigreturn": true, "restart_syscall": true}

// own are the calls that runtimes and libraries make of their own accord, for
// their timers, wake-ups and preemption: when no function of the application makes
// them they are a symptom of what it does, and tell nobody what that is.
var own = map[string]bool{
	"futex": true, "futex_wait": true, "futex_wake": true, "futex_waitv": true,
	"epoll_wait": true, "epoll_pwait": true, "epoll_pwait2": true, "poll": true, "ppoll": true, "select": true, "pselect6": true,
	"io_getevents": true, "io_uring_enter": true, "eventfd2": true,
	"tgkill": true, "tkill": true, "rt_sigprocmask": true, "getpid": true, "gettid": true,
	"sched_yield": true, "nanosleep": true, "clock_nanosleep": true, "membarrier": true, "madvise": true,
	"timer_settime": true, "timerfd_settime": true,
}

// rose is the call that rose most, if one is worth a clause: the call that is
// waited in before all others.
func (a *Anomaly) rose() (most Call, ok bool) {
	weight := 0.0
	for _, c := range a.Calls {
		more, least := c.Now-c.Past, leastMoreOther
		if c.Errno != "" {
			more *= failing
		}
		waited := c.Name == a.Call && c.Errno == ""
		if waited || c.Name == a.Refused.Name && c.Errno == a.Refused.Errno {
			least = leastMore
		}
		if c.Now < leastRise*c.Past || more < least || signals[c.Name] || own[c.Name] && !c.Application {
			continue
		}
		if waited {
			return c, true
		}
		if more > weight {
			most, weight, ok = c, more, true
		}
	}
	return most, ok
}

func (c *Call) named() string {
	if c.Errno == "" {
		return c.Name
	}
	return c.Name + " failing with " + c.Errno
}
