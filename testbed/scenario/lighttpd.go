package scenario

func lighttpd() []Scenario { return nil }
