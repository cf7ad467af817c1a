package scenario

import "slices"

// languageFaults are faults in languages with a runtime of their own that no other
// scenario has.
func languageFaults() []Scenario {
	return []Scenario{wikiChanges(), ratesLock(), stopsNetworks(), phpRelated(), plainEmphasis(), tollsTariff(), tollsJournal()}
}

// Languages are the twelve faults of `make eval-languages`: in Python, Ruby, PHP, in
// Node without any flag, and goroutines of Go that wait.
func Languages() []Scenario {
	return slices.Concat([]Scenario{quotesBlocking(), guestbookRule(), faresHang(), menuUnknown(), cartsPool()}, languageFaults())
}
