package scenario

import "testing"

func init() {
	addCheck("nginx-files", func(t *testing.T, before, after state) {
		if after.figures.Failures == 0 {
			slow(2)(t, before, after)
		}
	})
	addCheck("nginx-upstream", slow(2))
}
