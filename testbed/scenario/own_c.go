package scenario

// ownC lists what goes wrong in the testbed's own C servers: depot answers
// with a pool of threads, courier with an event loop.
func ownC() []Scenario {
	return []Scenario{
		courierLeases(),
		courierHeaders(),
		courierJournal(),
		courierUpstream(),
		depotSlowReader(),
		depotPrices(),
		depotSessionSweep(),
		depotRevalidate(),
		depotBuffers(),
		depotDescriptors(),
	}
}
