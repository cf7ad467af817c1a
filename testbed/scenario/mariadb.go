package scenario

func mariadb() []Scenario { return nil }
