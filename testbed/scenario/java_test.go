package scenario

import "fmt"

func init() {
	addCheck("java-half-closed", burns(0.3))
	addCheck("java-pool-convoy", slow(2))
	addCheck("java-buffer-leak", func(before, after state) error {
		if after.figures.Requests > before.figures.Requests*3/4 {
			return fmt.Errorf("%d requests were answered without buffers, %d with", after.figures.Requests, before.figures.Requests)
		}
		return nil
	})
	addCheck("java-retry-sleep", slow(2))
	addCheck("java-concatenation", slow(2))
	addCheck("tomcat-session", burns(0.1))
	addCheck("tomcat-jsp", nil) // a page is looked at every four seconds only
}
