package scenario

func lighttpd() []Scenario { return []Scenario{lighttpdChunks(), lighttpdMount()} }
