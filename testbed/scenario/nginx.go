package scenario

func nginx() []Scenario {
	return []Scenario{nginxRegex(), nginxBuffers(), nginxFiles(), nginxUpstream()}
}
