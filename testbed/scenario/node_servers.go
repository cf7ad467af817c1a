package scenario

func nodeServers() []Scenario { return nil }
