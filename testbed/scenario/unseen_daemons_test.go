package scenario

func init() {
	addCheck("pdns-import", slow(2))
	addCheck("zookeeper-watches", fewer(0.75))
}
