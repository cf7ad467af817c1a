package scenario

import "fmt"

func init() {
	addCheck("pdns-import", slow(2))
	addCheck("zookeeper-watches", fewer(0.75))
	addCheck("proftpd-users", func(before, after state) error {
		// A session waits for up to 200 ms as it is: the daemon sleeps when another
		// has ended.
		if after.figures.Median < before.figures.Median*11/10 {
			return fmt.Errorf("the median only went from %s to %s", before.figures.Median, after.figures.Median)
		}
		return nil
	})
}
