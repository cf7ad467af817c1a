package main

import (
	"errors"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/testbed/recording"
)

// places are the attributes that say where something was recorded, which is
// nobody's business whom it is handed on to.
var places = []string{"host.id", "host.name", "process.linux.cgroup", "container.id", "k8s.pod.uid"}

// saving copies records to a new file; done ends it.
func saving(path string) (each func(plog.Logs), done func() error, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, nil, err
	}
	w, err := recording.NewWriter(file)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	var failed error
	each = func(ld plog.Logs) {
		if failed != nil || ld.ResourceLogs().Len() == 0 {
			return
		}
		out := plog.NewLogs()
		ld.CopyTo(out)
		for _, rl := range out.ResourceLogs().All() {
			for _, key := range places {
				rl.Resource().Attributes().Remove(key)
			}
		}
		failed = w.Write(out)
	}
	return each, func() error { return errors.Join(failed, w.Close(), file.Close()) }, nil
}
