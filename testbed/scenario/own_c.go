package scenario

func ownC() []Scenario { return nil }
