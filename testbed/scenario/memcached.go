package scenario

func memcached() []Scenario { return nil }
