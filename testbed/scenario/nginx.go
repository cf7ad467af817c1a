package scenario

func nginx() []Scenario { return []Scenario{nginxRegex()} }
