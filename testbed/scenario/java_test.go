package scenario

func init() {
	addCheck("java-half-closed", burns(0.3))
	addCheck("java-pool-convoy", slow(2))
	addCheck("java-retry-sleep", slow(2))
	addCheck("java-concatenation", slow(2))
	addCheck("tomcat-session", burns(0.3))
	addCheck("tomcat-jsp", nil) // a page is looked at every four seconds only
}
