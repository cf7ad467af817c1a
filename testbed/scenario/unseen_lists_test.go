package scenario

func init() {
	addCheck("auctions-listeners", nil) // lists grow by and by
	addCheck("redis-patterns", burns(0.1))
	addCheck("parking-mailbox", slow(2))
	addCheck("postgres-queue", nil)
}
