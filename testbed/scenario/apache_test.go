package scenario

import "fmt"

func init() {
	addCheck("apache-report", fewer(0.75))
	addCheck("apache-listing", slow(2))
	addCheck("apache-upload", fewer(0.75))
	addCheck("apache-rewrite", fewer(0.5))
}

// fewer expects less than a share of the requests to be answered. A request
// that hangs is not seen to fail: the users' patience is longer than the test.
func fewer(share float64) check {
	return func(before, after state) error {
		if float64(after.figures.Requests) > share*float64(before.figures.Requests) {
			return fmt.Errorf("%d requests were answered, %d before", after.figures.Requests, before.figures.Requests)
		}
		return nil
	}
}
