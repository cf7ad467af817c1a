package scenario

import "fmt"

func init() {
	addCheck("quotes-blocking", fewer(0.5))
	addCheck("guestbook-rule", slowMedian(1.5))
	addCheck("fares-hang", fewer(0.25))
	addCheck("activemq-persistent", slowMedian(2))
	addCheck("freeradius-backend", fewer(0.5))
	addCheck("gate-iterations", burns(0.2))
	addCheck("hooks-names", fewer(0.5))
	addCheck("menu-unknown", slowMedian(2))
	addCheck("rabbitmq-persistent", slowMedian(1.5))
	addCheck("vault-handshakes", slowMedian(3))
	addCheck("carts-pool", fewer(0.75))
	addCheck("ledger-release", slow(2))
}

// slowMedian expects the median to grow by a factor: a quantile that one slow
// request before the fault does not move.
func slowMedian(factor float64) check {
	return func(before, after state) error {
		if float64(after.figures.Median) < factor*float64(before.figures.Median) {
			return fmt.Errorf("the median only went from %s to %s", before.figures.Median, after.figures.Median)
		}
		return nil
	}
}
