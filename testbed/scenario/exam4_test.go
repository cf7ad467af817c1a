package scenario

func init() {
	addCheck("dnsmasq-texts", burns(0.05))
	addCheck("gearmand-backlog", burns(0.05))
	addCheck("nginx-stylesheet", burns(0.1))
	addCheck("h2-customers", burns(0.1))
	addCheck("canteen-guests", burns(0.05))
	addCheck("marina-level", burns(0.1))
	addCheck("weirs-rules", burns(0.1))
	addCheck("surveys-checks", burns(0.1))
	addCheck("snippets-quote", burns(0.1))
	addCheck("postroom-origins", slow(3))
	addCheck("bookmobile-rows", burns(0.1))
	addCheck("diary-careful", slow(2))
}
