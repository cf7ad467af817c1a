package syscallreceiver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
)

const (
	// silentAfter is for how long a rule must choose nothing to be reported.
	silentAfter = 30 * time.Second
	// silentMost is the longest time between two lines while nothing is chosen;
	// it begins with silentAfter and grows by silentGrowth.
	silentMost   = time.Hour
	silentGrowth = 4
	// nearest and nearestRules bound the processes reported that come closest, by
	// rule and in all.
	nearest      = 2
	nearestRules = 5
)

// silence says which rules choose no process: a configuration that matches
// nothing would say nothing for ever.
type silence struct {
	rules   []process.Rule
	nearest func(rule, limit int) []process.Near
	logger  *zap.Logger

	began time.Time
	// chose is set for the rules that have chosen a process since the start.
	chose []bool
	// once is set when the rules that have not were told.
	once bool
	// none is since when there is no target at all, zero while there is one;
	// next is when that is told again, wait the time to the one after.
	none, next time.Time
	wait       time.Duration
}

func newSilence(rules []process.Rule, nearest func(int, int) []process.Near, logger *zap.Logger, now time.Time) *silence {
	return &silence{rules: rules, nearest: nearest, logger: logger, began: now, chose: make([]bool, len(rules))}
}

// look takes the targets of a scan. It gives an error while there has been none
// for silentAfter, and the number of rules that choose none now.
func (s *silence) look(now time.Time, targets []*process.Process) (idle int, err error) {
	chosen := make([]bool, len(s.rules))
	for _, p := range targets {
		chosen[p.Rule], s.chose[p.Rule] = true, true
	}
	for _, is := range chosen {
		if !is {
			idle++
		}
	}
	if len(targets) > 0 {
		s.none = time.Time{}
		s.tellOnce(now)
		return idle, nil
	}
	if s.none.IsZero() {
		s.none, s.next, s.wait = now, now.Add(silentAfter), silentAfter
	}
	if now.Sub(s.none) < silentAfter {
		return idle, nil
	}
	err = fmt.Errorf("no process matches any of the %d rules of targets, for %s now: nothing is recorded", len(s.rules), now.Sub(s.none).Round(time.Second))
	if !now.Before(s.next) {
		s.wait = min(s.wait*silentGrowth, silentMost)
		s.next = now.Add(s.wait)
		every := make([]int, len(s.rules))
		for i := range every {
			every[i] = i
		}
		s.logger.Warn("No process matches any rule of targets: nothing is recorded. The closest are named; is the server running, and is it this host's?",
			zap.Strings("rules", s.names(every)), zap.Strings("closest", s.closest(every)), zap.Duration("next_line_in", s.wait))
	}
	return idle, err
}

// tellOnce names the rules that have chosen nothing yet, when others have.
func (s *silence) tellOnce(now time.Time) {
	if s.once || now.Sub(s.began) < silentAfter {
		return
	}
	s.once = true
	var silent []int
	for i, did := range s.chose {
		if !did {
			silent = append(silent, i)
		}
	}
	if len(silent) > 0 {
		s.logger.Info("Rules of targets that have matched no process so far.",
			zap.Strings("rules", s.names(silent)), zap.Strings("closest", s.closest(silent)))
	}
}

func (s *silence) names(rules []int) []string {
	const most = 40
	out := make([]string, 0, min(len(rules), most+1))
	for i, r := range rules {
		if i == most {
			return append(out, fmt.Sprintf("and %d more", len(rules)-most))
		}
		out = append(out, fmt.Sprintf("targets[%d] %s", r, s.rules[r]))
	}
	return out
}

// closest are the processes that came closest, for the first rules that have
// such.
func (s *silence) closest(rules []int) []string {
	const mostAsked = 64 // each looks at all processes of the host
	out := []string{}
	found := 0
	for _, r := range rules[:min(len(rules), mostAsked)] {
		near := s.nearest(r, nearest)
		if len(near) == 0 {
			continue
		}
		text := make([]string, len(near))
		for i, n := range near {
			text[i] = n.String()
		}
		out = append(out, fmt.Sprintf("targets[%d]: %s", r, strings.Join(text, "; ")))
		if found++; found == nearestRules {
			break
		}
	}
	return out
}

// unreadable says what to do about processes that cannot be judged.
func unreadable(count int, example error, missing []string) error {
	if example == nil {
		return nil
	}
	cure := "this process has the capabilities that open them: they are in another user namespace, hold more than it does, or a security module (AppArmor, SELinux) forbids it"
	if len(missing) > 0 {
		cure = "grant " + strings.Join(missing, " and ") + " (executable and sockets need CAP_SYS_PTRACE, the environment CAP_DAC_READ_SEARCH, too)"
	}
	return fmt.Errorf("not every process can be judged by the rules, %d cannot be read: %w; %s", max(count, 1), example, cure)
}

// kinds is what a set of troubles is told by: a figure or an example in their
// texts changes from scan to scan.
func kinds(degraded, unread, alone, silent error) string {
	var out []string
	for _, k := range []struct {
		name string
		err  error
	}{{"degraded", degraded}, {"unreadable", unread}, {"alone", alone}, {"silent", silent}} {
		if k.err != nil {
			out = append(out, k.name)
		}
	}
	return strings.Join(out, ",")
}

// errDiscovery marks that the processes could not be listed at all.
var errDiscovery = errors.New("processes cannot be listed")
