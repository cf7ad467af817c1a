package scenario

func postgres() []Scenario {
	return []Scenario{postgresLock(), postgresIndex(), postgresSleep(), postgresSpill()}
}
