package scenario

import "testing"

func init() {
	addCheck("haproxy-refused", func(t *testing.T, _, after state) {
		if after.figures.Failures == 0 {
			t.Error("no request failed without a server")
		}
	})
	addCheck("haproxy-map", burns(0.15)) // the 99th percentile is within what chance adds
}
