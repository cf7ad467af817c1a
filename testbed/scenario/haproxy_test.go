package scenario

import "testing"

func init() {
	addCheck("haproxy-refused", func(t *testing.T, _, after state) {
		if after.figures.Failures == 0 {
			t.Error("no request failed without a server")
		}
	})
	addCheck("haproxy-map", slow(2))
}
