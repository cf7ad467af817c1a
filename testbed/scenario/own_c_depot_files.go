package scenario

import "context"

// depotDescriptors: accept fails for want of descriptors, the listener stays
// readable, and the thread that accepts comes round at once. The mechanism of
// https://github.com/nodejs/node/issues/1006 and of libuv, libev and Apache
// before they learned to pause.
func depotDescriptors() Scenario {
	return Scenario{
		Name:   "depot-descriptors",
		Title:  "the listener spins: no descriptor is left for the clients that wait",
		Server: "depot", Language: C, Kind: Exhaustion, Source: Own, Split: Report,
		Normal: depotNormal,
		Fault:  "the limit of open files is reached (prlimit) and twenty clients more come: accept fails with EMFILE, again and again",
		// testbed/apps/depot/listener.c: accept_all, which the compiler puts
		// into listener_run.
		Truth:    []string{"sock_accept", "accept_all", "listener_run"},
		Patterns: []string{"descriptor_exhaustion"},
		Start: func(ctx context.Context) (Workload, error) {
			l, err := startDepot(ctx)
			if err != nil {
				return Workload{}, err
			}
			return l.workload(func(context.Context) (func(), error) { return exhaustDescriptors(l.Server) }), nil
		},
	}
}
