package scenario

// unseenMonitoring are faults that came when the causes of the machine were done, on
// servers never used before but for one.
func unseenMonitoring() []Scenario {
	return []Scenario{pushgatewayGroups(), alertmanagerSilences(), registryCatalog(), apachePasswords()}
}
