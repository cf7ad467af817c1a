package scenario

func init() { addCheck("redis-union", slow(2)) }
