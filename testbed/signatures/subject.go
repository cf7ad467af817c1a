// Package signatures extracts the signatures of real servers under load, and
// compares what they say with the stacks of another part of the same load.
package signatures

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Subject is a server whose signatures are extracted.
type Subject struct {
	// Name is the server's, Scenario the one whose server and load it is.
	Name, Scenario string
	// Targets choose its processes, as PERFSCOPE_TARGETS in config/extract.yaml;
	// empty for those that have OTEL_SERVICE_NAME in their environment.
	Targets string
	// More is set on those that are only run when they are named.
	More bool
	// Vary has the server do more than the load asks of it; it returns when the
	// context ends. Nil turns the scenario's fault on and off.
	Vary func(ctx context.Context, w scenario.Workload) error
}

// Subjects lists them.
func Subjects() []Subject {
	return []Subject{
		Redis(),
		{Name: "nginx", Scenario: "nginx-regex", Targets: "[executable: nginx]"},
		{Name: "lighttpd", Scenario: "lighttpd-chunks", Targets: "[executable: lighttpd]"},
		{Name: "nats", Scenario: "nats-subscriptions"},
		{Name: "shelf", Scenario: "shelf-journal"},
		{Name: "tomcat", Scenario: "tomcat-session"},
		{Name: "apache", Scenario: "apache-listing", Targets: "[executable: apache2]", More: true},
		{Name: "haproxy", Scenario: "haproxy-map", Targets: "[executable: haproxy]", More: true},
		{Name: "postgres", Scenario: "postgres-lock", Targets: "[executable: postgres]", More: true},
		{Name: "mariadb", Scenario: "mariadb-sync", Targets: "[executable: mariadbd]", More: true},
		{Name: "express", Scenario: "express-route", More: true},
	}
}

// Redis is Debian's redis with its append-only file, which is synced in all
// ways there are.
func Redis() Subject {
	return Subject{
		Name: "redis", Scenario: "redis-fsync",
		// Debian's redis-server is a link to redis-check-rdb.
		Targets: "[{executable: redis-server, service_name: redis}, {executable: redis-check-rdb, service_name: redis}]",
		Vary:    varyRedis,
	}
}

// phase is how long one thing is done: a dozen of them are in half a minute.
const phase = 2500 * time.Millisecond

// varyRedis changes how the append-only file is synced, rewrites it and comes
// and goes, as administrators and clients do.
func varyRedis(ctx context.Context, w scenario.Workload) error {
	for turn := 0; ; turn++ {
		c, err := client.DialRedis(w.Server.Addr)
		if err != nil {
			return err
		}
		commands := [][]string{
			{"CONFIG", "SET", "appendfsync", []string{"always", "everysec"}[turn%2]},
			{"INFO"}, {"KEYS", "count:1*"}, {"SLOWLOG", "GET"},
		}
		if turn%4 == 3 {
			commands = append(commands, []string{"BGREWRITEAOF"})
		}
		for _, command := range commands {
			if _, err := c.Do(command...); err != nil {
				return fmt.Errorf("%s: %w", command[0], err)
			}
		}
		if err := c.Close(); err != nil {
			return err
		}
		if !pause(ctx, phase) {
			return nil
		}
	}
}

// varyFault turns the fault on and off.
func varyFault(ctx context.Context, w scenario.Workload) error {
	for pause(ctx, phase) {
		end, err := w.Fault(ctx)
		if err != nil {
			return fmt.Errorf("the load could not be varied: %w", err)
		}
		pause(ctx, phase)
		end()
	}
	return nil
}

// pause waits; it returns false when the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// scenario finds the subject's.
func (s Subject) scenario() (scenario.Scenario, error) {
	all := scenario.All()
	i := slices.IndexFunc(all, func(sc scenario.Scenario) bool { return sc.Name == s.Scenario })
	if i < 0 {
		return scenario.Scenario{}, fmt.Errorf("there is no scenario %q", s.Scenario)
	}
	return all[i], nil
}

// Language is what the subject is written in.
func (s Subject) Language() (string, error) {
	sc, err := s.scenario()
	return string(sc.Language), err
}
