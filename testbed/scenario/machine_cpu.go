package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/testbed/group"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// inGroup puts the server of a workload into a control group of its own, which Stop
// removes.
func inGroup(w Workload, err error, name string, controllers ...string) (Workload, *group.Group, error) {
	if err != nil {
		return w, nil, err
	}
	g, err := group.New(name, controllers...)
	if err == nil {
		err = g.Add(server.Descendants(w.Server.PID())...)
	}
	if err != nil {
		return Workload{}, nil, errors.Join(err, w.Server.Stop())
	}
	stop := w.Stop
	w.Stop = func() {
		if stop != nil {
			stop()
		}
		_ = g.Remove() // an empty group takes nothing
	}
	return w, g, nil
}

// external is a scenario without a function to blame, which is told once it lasts.
func external(name, title, srv string, lang Language, normal, fault string, start func(ctx context.Context) (Workload, error)) Scenario {
	return Scenario{
		Name: name, Title: title, Server: srv, Language: lang, Source: Debian, Split: Report, Normal: normal, Fault: fault, Start: start,
		Observe: 40 * time.Second,
	}
}

func redisWorkload(ctx context.Context) (Workload, error) {
	s, err := server.StartRedis(ctx)
	if err != nil {
		return Workload{}, err
	}
	return Workload{Server: s, Load: redisLoad(s, 2000)}, nil
}

func apacheWorkload(ctx context.Context) (Workload, error) {
	s, err := server.StartApache(ctx, "event", nil)
	if err != nil {
		return Workload{}, err
	}
	return Workload{
		Server: s,
		Load:   httpLoad(8, 600, func(r *rand.Rand) (*http.Request, error) { return fileRequest(s.Addr, r) }),
	}, nil
}

// redisQuota gives the server half of the CPU time it uses.
func redisQuota() Scenario {
	return external("redis-quota", "redis has half of the CPU time it needs", "redis", C,
		"a cache in use, in a control group without a quota", "the control group gets a quota of half of what it uses",
		func(ctx context.Context) (Workload, error) {
			w, err := redisWorkload(ctx)
			w, g, err := inGroup(w, err, "redis-quota", "cpu")
			if err != nil {
				return w, err
			}
			w.Fault = func(ctx context.Context) (func(), error) {
				share, err := cpuShare(ctx, w.Server)
				if err != nil {
					return nil, err
				}
				const period = 100_000 // us
				quota := max(1000, int(share/2*period))
				if err := g.Set("cpu", "cpu.cfs_quota_us", strconv.Itoa(quota)); err != nil {
					return nil, err
				}
				return func() { _ = g.Set("cpu", "cpu.cfs_quota_us", "-1") }, nil
			}
			return w, nil
		})
}

// cpuShare is how many CPUs a server keeps busy, over two seconds.
func cpuShare(ctx context.Context, s *server.Server) (float64, error) {
	used := func() (sum time.Duration, err error) {
		table, err := proc.ReadTable()
		if err != nil {
			return 0, err
		}
		for _, pid := range table.Children().Of(s.PID()) {
			sum += table[pid].CPU
		}
		return sum, nil
	}
	before, err := used()
	if err != nil {
		return 0, err
	}
	const over = 2 * time.Second
	select {
	case <-time.After(over):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := used()
	return (after - before).Seconds() / over.Seconds(), err
}

// hogs is how many programs take the CPUs, and how much more weight their group has.
const hogs, hogShares = 4, 262_144

// hog has other programs, in a group of more weight, use the CPUs until it is ended.
func hog(name string) (end func(), err error) {
	g, err := group.New(name, "cpu")
	if err != nil {
		return nil, err
	}
	var running []*exec.Cmd
	end = func() {
		for _, c := range running {
			_ = c.Process.Kill() // it ends by that alone
			_ = c.Wait()
		}
		_ = g.Remove() // an empty group takes nothing
	}
	if err := g.Set("cpu", "cpu.shares", strconv.Itoa(hogShares)); err != nil {
		end()
		return nil, err
	}
	for range hogs {
		c := exec.Command("sha256sum", "/dev/zero")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			end()
			return nil, fmt.Errorf("the neighbour: %w", err)
		}
		running = append(running, c)
		if err := g.Add(c.Process.Pid); err != nil {
			end()
			return nil, err
		}
	}
	return end, nil
}

func apacheHog() Scenario {
	return external("apache-hog", "apache beside a group that takes the CPUs", "apache", C,
		"files under a steady load", "four programs that only compute are started in a group of more weight",
		func(ctx context.Context) (Workload, error) {
			w, err := apacheWorkload(ctx)
			w, _, err = inGroup(w, err, "apache-hog", "cpu")
			w.Fault = func(context.Context) (func(), error) { return hog("hog") }
			return w, err
		})
}

func redisHog() Scenario {
	return external("redis-hog", "redis beside a group that takes the CPUs", "redis", C,
		"a cache in use", "four programs that only compute are started in a group of more weight",
		func(ctx context.Context) (Workload, error) {
			w, err := redisWorkload(ctx)
			w, _, err = inGroup(w, err, "redis-hog", "cpu")
			w.Fault = func(context.Context) (func(), error) { return hog("hog") }
			return w, err
		})
}

func mariadbStopped() Scenario {
	return external("mariadb-stopped", "mariadb is stopped by a signal", "mariadb", C,
		"a shop: pages, carts and sales", "somebody attaches with a debugger's SIGSTOP and forgets to go on",
		func(ctx context.Context) (Workload, error) {
			w, err := startMariaDB(ctx, 400)
			w.Fault = func(context.Context) (func(), error) {
				return func() { _ = w.Server.Signal(syscall.SIGCONT) }, w.Server.Signal(syscall.SIGSTOP)
			}
			return w, err
		})
}

func tomcatFrozen() Scenario {
	return external("tomcat-frozen", "tomcat is frozen for a checkpoint, again and again", "tomcat", Java,
		"a shop with pages and carts", "its control group is frozen for three of every four seconds",
		func(ctx context.Context) (Workload, error) {
			w, err := startTomcat(ctx, nil)
			w, g, err := inGroup(w, err, "tomcat-frozen", "freezer")
			if err != nil {
				return w, err
			}
			w.Fault = func(ctx context.Context) (func(), error) {
				end := often(ctx, time.Second, func(_ context.Context, i int) {
					state := "FROZEN"
					if i%4 == 3 {
						state = "THAWED"
					}
					_ = g.Set("freezer", "freezer.state", state) // the next one is a second away
				})
				return func() { end(); _ = g.Set("freezer", "freezer.state", "THAWED") }, nil
			}
			return w, nil
		})
}
