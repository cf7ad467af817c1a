package scenario

// unseenStores keep what others measure and configure.
func unseenStores() []Scenario { return []Scenario{prometheusSearch(), etcdDefragment()} }
