package scenario

func init() {
	addCheck("pushgateway-groups", slow(2))
	addCheck("alertmanager-silences", slow(2))
	addCheck("registry-catalog", slow(2))
	addCheck("apache-passwords", slow(2))
}
