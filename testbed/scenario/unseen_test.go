package scenario

func init() {
	addCheck("varnish-bans", slow(2))
	addCheck("caddy-retries", fewer(0.75))
	addCheck("php-session", fewer(0.75))
	addCheck("php-figures", nil) // it takes seconds until all children are held
	addCheck("mosquitto-autosave", slow(2))
	addCheck("mochi-wildcards", slow(2))
	addCheck("tickets-attachments", slow(2))
	addCheck("squid-blocklist", slow(2))
}
