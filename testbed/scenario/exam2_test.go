package scenario

func init() {
	addCheck("snmpd-pass", slow(2))
	addCheck("privoxy-filter", slow(2))
	addCheck("influxdb-pattern", burns(0.1))
	addCheck("atlas-eviction", slow(2))
	addCheck("pledges-sessions", fewer(0.5))
	addCheck("invoices-note", slow(2))
	addCheck("ferries-timers", burns(0.05))
	addCheck("ballots-spin", slow(2))
	addCheck("freight-sleep", fewer(0.9))
	addCheck("pantry-prices", burns(0.1))
	addCheck("brewery-rates", slow(2))
	addCheck("turnstile-lines", burns(0.05))
	addCheck("observatory-places", slow(2))
}
