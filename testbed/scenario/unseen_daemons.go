package scenario

// unseenDaemons are more of them, on servers of other sorts than those before.
func unseenDaemons() []Scenario {
	return []Scenario{pdnsImport(), zookeeperWatches(), proftpdUsers()}
}
