package scenario

import "fmt"

func init() {
	addCheck("courier-leases", burns(0.1))
	addCheck("courier-headers", slow(2))
	addCheck("courier-journal", nil) // how much slower is up to the disk
	addCheck("courier-upstream", burns(0.05))
	addCheck("depot-slow-reader", burns(0.2))
	addCheck("depot-descriptors", burns(0.2))
	addCheck("depot-prices", func(before, after state) error {
		if after.figures.Requests > before.figures.Requests/2 {
			return fmt.Errorf("%d requests were answered while no price was", after.figures.Requests)
		}
		return nil
	})
	addCheck("depot-session-sweep", slow(2))
	addCheck("depot-revalidate", nil) // the machine's own noise is larger than two seconds of it
	addCheck("depot-buffers", maps)
}
