package scenario

func init() {
	addCheck("redis-union", slow(2))
	addCheck("redis-script", fewer(0.5))
}
