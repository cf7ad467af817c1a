package scenario

func init() {
	addCheck("rentals-reports", slow(2))
	addCheck("weather-bodies", nil) // it takes seconds until all connections are held
	addCheck("stations-refused", nil)
}
