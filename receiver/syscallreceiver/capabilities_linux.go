package syscallreceiver

import (
	"golang.org/x/sys/unix"
)

// missingToRead are the capabilities that this process lacks to read processes
// of other accounts.
func missingToRead() (missing []string) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil // then nothing can be said
	}
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, {unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"}} {
		dac := c.bit == unix.CAP_DAC_READ_SEARCH && data[0].Effective&(1<<unix.CAP_DAC_OVERRIDE) != 0
		if data[c.bit/32].Effective&(1<<(c.bit%32)) == 0 && !dac {
			missing = append(missing, c.name)
		}
	}
	return missing
}
