package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// StartBeanstalkd starts Debian's beanstalkd, which keeps its jobs in memory.
func StartBeanstalkd(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "beanstalkd", Path: "beanstalkd",
		Args: func(addr, _ string) []string { return []string{"-l", "127.0.0.1", "-p", strconv.Itoa(port(addr))} },
	}, "-v")
}

// StartRsyslog starts Debian's rsyslogd, which takes messages over TCP and writes those
// of each host into a file of its own.
func StartRsyslog(ctx context.Context) (*Server, error) {
	return startDebian(ctx, Program{
		Name: "rsyslog", Path: "rsyslogd",
		Files: func(addr, dir string) map[string]string {
			return map[string]string{"rsyslog.conf": fmt.Sprintf(`global(workDirectory="%[2]s")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="%[1]d")
template(name="host" type="string" string="%[2]s/hosts/%%HOSTNAME%%.log")
action(type="omfile" dynaFile="host")
`, port(addr), dir)}
		},
		Args: func(_, dir string) []string {
			return []string{"-n", "-f", filepath.Join(dir, "rsyslog.conf"), "-i", filepath.Join(dir, "rsyslogd.pid")}
		},
	}, "-v")
}
