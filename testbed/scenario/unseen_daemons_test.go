package scenario

func init() {
	addCheck("pdns-import", slow(2))
}
