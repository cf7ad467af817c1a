package scenario

func init() {
	addCheck("slapd-group", burns(0.2))
	addCheck("slapd-import", fewer(0.5))
	addCheck("dovecot-dotlock", nil) // each session meets the lock after seconds
	addCheck("bind-leases", nil)     // how much slower is up to the disk
}
