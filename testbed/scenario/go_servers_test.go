package scenario

func init() {
	addCheck("shelf-journal", burns(0.4))
	addCheck("shelf-catalog", slow(2))
	addCheck("shelf-frames", burns(0.08))
	addCheck("shelf-ratings", burns(0.08))
	addCheck("shelf-uploads", burns(0.15))
}
