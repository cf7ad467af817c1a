package scenario

import (
	"context"
	"sync/atomic"
)

// flip is a fault that is in what the clients ask for: they do so once it is on.
type flip struct{ set atomic.Bool }

func (f *flip) on() bool { return f.set.Load() }

// fault turns it on; it is a Workload's Fault.
func (f *flip) fault(context.Context) (end func(), err error) {
	f.set.Store(true)
	return func() { f.set.Store(false) }, nil
}
