package scenario

func goServers() []Scenario { return nil }
