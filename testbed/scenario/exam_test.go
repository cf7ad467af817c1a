package scenario

func init() {
	addCheck("beanstalkd-tubes", burns(0.1))
	addCheck("rsyslog-hosts", burns(0.02))
	addCheck("nginx-gzip", slow(2))
	addCheck("allotments-stock", slow(2))
	addCheck("couriers-retry", slow(2))
	addCheck("badges-git", slow(2))
	addCheck("gazette-spaces", slow(2))
	addCheck("rosters-months", fewer(0.5))
	addCheck("safes-durable", nil) // how much slower is up to the disk
}
