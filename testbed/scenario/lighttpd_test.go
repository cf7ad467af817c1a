package scenario

import "testing"

func init() {
	addCheck("lighttpd-chunks", slow(2))
	addCheck("lighttpd-mount", func(t *testing.T, _, after state) {
		if after.figures.Requests > 50 {
			t.Errorf("%d requests were answered while the mount hung", after.figures.Requests)
		}
	})
}
