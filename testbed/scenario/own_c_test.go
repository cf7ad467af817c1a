package scenario

func init() {
	addCheck("courier-leases", burns(0.1))
	addCheck("courier-headers", slow(2))
	addCheck("courier-journal", nil) // how much slower is up to the disk
	addCheck("courier-upstream", burns(0.05))
}
