package scenario

func init() {
	addCheck("nginx-files", func(before, after state) error {
		if after.figures.Failures == 0 {
			return slow(2)(before, after)
		}
		return nil
	})
	addCheck("nginx-upstream", slow(2))
}
