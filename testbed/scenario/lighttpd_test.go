package scenario

import "fmt"

func init() {
	addCheck("lighttpd-chunks", slow(2))
	addCheck("lighttpd-mount", func(_, after state) error {
		if after.figures.Requests > 50 {
			return fmt.Errorf("%d requests were answered while the mount hung", after.figures.Requests)
		}
		return nil
	})
}
