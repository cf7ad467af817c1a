package life

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/perfscope/perfscope/testbed/scenario"
)

// Member is one server of a fleet, before it runs.
type Member struct {
	// Name is that of its service with a number: redis-3.
	Name     string
	Scenario scenario.Scenario
	// Portion of the rate of its scenario's load is what it gets, but not less
	// than minRate and not more than maxRate requests per second; with Exact it
	// is not bounded.
	Portion float64
	Exact   bool
	// Kinds are what may happen to it.
	Kinds []Kind
}

const (
	minRate, maxRate       = 1, 50
	minPortion, maxPortion = 0.005, 0.06
	// connections bounds those of a load.
	connections = 4
)

// rate is what a member gets of its scenario's rate.
func (m Member) rate(full float64) float64 {
	if m.Exact {
		return full * m.Portion
	}
	return min(max(full*m.Portion, minRate), maxRate)
}

// share says how many instances of a server there are beside the others, and
// how many at most. A JVM or a database takes its time and memory.
type share struct{ weight, most int }

var shares = map[string]share{
	"redis": {4, 6}, "nginx": {4, 6}, "memcached": {3, 3}, "haproxy": {3, 4}, "lighttpd": {3, 3}, "apache": {2, 4},
	"postgres": {2, 4}, "mariadb": {1, 2}, "parcels": {1, 2}, "tomcat": {1, 1}, "zookeeper": {1, 1},
	"prometheus": {1, 1}, "dovecot": {1, 1}, "proftpd": {1, 1},
}

// Fleet draws n servers from all that the testbed can start: one of each kind
// first, as far as n goes, light ones more often after that, each with the next of its scenarios.
// It depends on its arguments alone. There may be fewer than n.
func Fleet(seed uint64, n int) []Member {
	r := rand.New(rand.NewPCG(seed, 1))
	byServer := map[string][]int{}
	for i, sc := range everything() {
		byServer[sc.Server] = append(byServer[sc.Server], i)
	}
	var servers []string
	for name, scenarios := range byServer {
		servers = append(servers, name)
		slices.Sort(scenarios)
	}
	slices.Sort(servers)
	for _, name := range servers {
		s := byServer[name]
		r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	}
	// Those that production has most of first, of the others each seed draws its own.
	r.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	slices.SortStableFunc(servers, func(a, b string) int { return shares[b].weight - shares[a].weight })
	var members []Member
	count := map[string]int{}
	add := func(server string) {
		scenarios := byServer[server]
		sc := everything()[scenarios[count[server]%len(scenarios)]] // of its own: it holds state
		count[server]++
		members = append(members, Member{
			Name:     fmt.Sprintf("%s-%d", server, count[server]),
			Scenario: sc,
			Portion:  minPortion * math.Pow(maxPortion/minPortion, r.Float64()),
			Kinds:    kindsOf(server),
		})
	}
	for _, server := range servers[:min(n, len(servers))] {
		add(server)
	}
	for len(members) < n {
		server, ok := drawServer(r, servers, count)
		if !ok {
			break
		}
		add(server)
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members
}

func everything() []scenario.Scenario { return slices.Concat(scenario.All(), scenario.Healthy()) }

// drawServer chooses one that has room for another instance.
func drawServer(r *rand.Rand, servers []string, count map[string]int) (string, bool) {
	weight := func(name string) int {
		s := cmp.Or(shares[name], share{2, 3})
		if count[name] >= s.most {
			return 0
		}
		return s.weight
	}
	total := 0
	for _, name := range servers {
		total += weight(name)
	}
	if total == 0 {
		return "", false
	}
	n := r.IntN(total)
	for _, name := range servers {
		if n -= weight(name); n < 0 {
			return name, true
		}
	}
	return "", false
}

// OneOfEach is the first scenario of each server, of those named or of all. The portion
// of its load is the caller's to set.
func OneOfEach(servers []string) (members []Member, err error) {
	for _, sc := range scenario.All() {
		known := slices.ContainsFunc(members, func(m Member) bool { return m.Scenario.Server == sc.Server })
		if !known && (len(servers) == 0 || slices.Contains(servers, sc.Server)) {
			members = append(members, Member{Name: sc.Server, Scenario: sc, Exact: true})
		}
	}
	for _, name := range servers {
		if !slices.ContainsFunc(members, func(m Member) bool { return m.Scenario.Server == name }) {
			return nil, fmt.Errorf("no server is named %q", name)
		}
	}
	return members, nil
}
