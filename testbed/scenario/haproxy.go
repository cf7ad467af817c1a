package scenario

func haproxy() []Scenario { return nil }
