package scenario

func javaServers() []Scenario { return nil }
