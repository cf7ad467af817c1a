package server

import (
	"cmp"
	"context"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// restartPatience is how long a server may take to end by itself.
const restartPatience = 20 * time.Second

// Restart ends the server and starts it again with its files, on its address: a
// new process of the same service. change, if not nil, has the last word on how
// it is started, now and later.
func (s *Server) Restart(ctx context.Context, change func(*proc.Options)) error {
	if err := ignoreExit(s.StopWith(cmp.Or(s.stopSignal, syscall.SIGTERM), restartPatience)); err != nil {
		return err
	}
	RemovePerfMap(s)
	o := s.Options()
	if change != nil {
		change(&o)
	}
	p, err := proc.Start(o)
	if err != nil {
		return err
	}
	s.Process = p
	probe := s.probe
	if probe == nil {
		probe = func() error { return dialOnce(s.Addr) }
	}
	return s.waitReady(ctx, s.log, probe)
}
