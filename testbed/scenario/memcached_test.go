package scenario

func init() { addCheck("memcached-dump", slow(2)) }
