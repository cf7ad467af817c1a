package scenario

func init() {
	for _, sc := range []string{"clerk-held-1", "clerk-held-4", "clerk-held-16", "clerk-slices"} {
		addCheck(sc, fewer(0.7))
	}
	addCheck("clerk-spin", slow(2))
	addCheck("clerk-basket", slow(2))
	addCheck("clerk-history", slow(2))
	addCheck("clerk-helper", burns(0.15))
	addCheck("clerk-loop", slowMedian(2))
	addCheck("clerk-warm", burns(0.15))
	addCheck("clerk-depth", burns(0.15))
}
