package scenario

func apache() []Scenario { return nil }
