package scenario

// unseenC are servers in C that came later still.
func unseenC() []Scenario {
	return []Scenario{slapdGroup(), slapdImport(), dovecotDotlock(), bindLeases()}
}
