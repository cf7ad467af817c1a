package scenario

// publicCases are bugs that others published, on servers and in languages that
// the inference was not built with.
func publicCases() []Scenario {
	return []Scenario{
		quotesBlocking(), guestbookRule(), faresHang(),
		activemqPersistent(), freeradiusBackend(),
		gateIterations(), hooksNames(), menuUnknown(),
		vaultHandshakes(), cartsPool(), ledgerRelease(),
		rabbitmqPersistent(),
	}
}
