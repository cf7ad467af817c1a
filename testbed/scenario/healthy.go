package scenario

func healthy() []Scenario { return []Scenario{nginxHealthy()} }
