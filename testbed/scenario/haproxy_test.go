package scenario

import "errors"

func init() {
	addCheck("haproxy-refused", func(_, after state) error {
		if after.figures.Failures == 0 {
			return errors.New("no request failed without a server")
		}
		return nil
	})
	addCheck("haproxy-map", burns(0.15)) // the 99th percentile is within what chance adds
}
