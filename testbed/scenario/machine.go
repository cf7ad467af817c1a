package scenario

// Cause is what a service loses its time to, as perfscope.cause.kind has it.
type Cause string

// The causes of the cases of `make eval-machine`.
const (
	CauseCode       Cause = "code"
	CauseQuota      Cause = "cpu_quota"
	CauseContention Cause = "cpu_contention"
	CauseMemory     Cause = "memory"
	CauseDisk       Cause = "disk"
	CauseNetwork    Cause = "network"
	CausePeer       Cause = "peer"
	CauseStopped    Cause = "stopped"
)

// MachineCase is a scenario with the truth about its cause.
type MachineCase struct {
	Scenario
	// External is set when no function is to blame.
	External bool
	// Cause is the truth, Resource a part of the name of what is lacking, and User of
	// who uses it; empty when there is none to name.
	Cause          Cause
	Resource, User string
}

// Machine lists twelve causes that are nobody's code and thirteen that are: of apacheReport
// the label says code, but what hangs there is the peer of apache.
func Machine() []MachineCase {
	var cases []MachineCase
	for _, e := range []struct {
		sc             Scenario
		cause          Cause
		resource, user string
	}{
		{redisQuota(), CauseQuota, "/perfscope-redis-quota", ""},
		{apacheHog(), CauseContention, "", "sha256sum"},
		{mariadbStopped(), CauseStopped, "", ""},
		{postgresDisk(), CauseDisk, "vda", "dd"},
		{squidUpstream(), CausePeer, "127.0.0.1:", ""},
		{apacheReaders(), CausePeer, "127.0.0.1", ""},
		{mariadbThrottle(), CauseDisk, "vda", ""},
		{apacheMemory(), CauseMemory, "/perfscope-apache-memory", ""},
		{apacheCache(), CauseMemory, "/perfscope-apache-cache", ""},
		{apacheLink(), CauseNetwork, "10.203.", ""},
		{tomcatFrozen(), CauseStopped, "", ""},
		{redisHog(), CauseContention, "", "sha256sum"},
	} {
		cases = append(cases, MachineCase{Scenario: e.sc, External: true, Cause: e.cause, Resource: e.resource, User: e.user})
	}
	for _, sc := range []Scenario{
		redisKeys(), redisFsync(), redisScript(), apacheReport(), apacheListing(), mariadbConvoy(), mariadbRows(), mariadbSync(),
		postgresLock(), postgresSpill(), tomcatJSP(), squidBlocklist(), apachePasswords(),
	} {
		cases = append(cases, MachineCase{Scenario: sc, Cause: CauseCode})
	}
	return cases
}
