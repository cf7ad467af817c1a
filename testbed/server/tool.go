package server

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
)

// RunTool runs a program of an administrator (pg_dump, redis-cli) to its end,
// in the server's directory; the first of programs that is installed.
func (s *Server) RunTool(ctx context.Context, programs []string, args ...string) error {
	path, err := find(programs...)
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	log := filepath.Join(s.Dir, name+".log")
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: s.Dir, Output: log})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		_ = p.Stop(time.Second) // how it ends then is of no interest
		return ctx.Err()
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, tail(log))
	}
	return nil
}
