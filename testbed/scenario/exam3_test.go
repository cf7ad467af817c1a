package scenario

func init() {
	addCheck("ngircd-channels", burns(0.02))
	addCheck("tarantool-count", burns(0.1))
	addCheck("h2o-listing", burns(0.1))
	addCheck("stunnel-handshakes", burns(0.1))
	addCheck("cellar-models", burns(0.2))
	addCheck("lodge-store", burns(0.1))
	addCheck("errands-queue", burns(0.02))
	addCheck("meters-merge", burns(0.1))
	addCheck("harbour-debug", burns(0.1))
	addCheck("granary-soft", maps)
	addCheck("abbey-lists", burns(0.1))
	addCheck("lighthouse-end", burns(0.3))
}
