package scenario

func haproxy() []Scenario { return []Scenario{haproxyRefused(), haproxyMap()} }
