package scenario

import "testing"

func init() {
	addCheck("pdns-import", slow(2))
	addCheck("zookeeper-watches", fewer(0.75))
	addCheck("proftpd-users", func(t *testing.T, before, after state) {
		// ProFTPD itself sleeps for up to 200 ms when a session has ended.
		if after.figures.Median < before.figures.Median*5/4 {
			t.Errorf("the median only went from %s to %s", before.figures.Median, after.figures.Median)
		}
	})
}
