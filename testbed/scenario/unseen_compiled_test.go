package scenario

func init() {
	addCheck("feeds-reader", nil) // buffers of both sides fill first, in seconds
	addCheck("herbarium-export", slow(2))
	addCheck("fleet-hash", slow(2))
}
