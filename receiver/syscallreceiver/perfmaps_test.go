package syscallreceiver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/internal/process"
)

func TestJVMsAreAskedForTheirPerfMaps(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	var asked []int32
	m := &perfMaps{
		interval: time.Millisecond, logger: zap.New(core), told: map[int32]time.Time{},
		runtime: func(pid int32) string { return map[int32]string{1: "jvm", 2: "go", 3: "jvm"}[pid] },
		write: func(_ context.Context, pid int32) error {
			asked = append(asked, pid)
			if pid == 3 {
				return errors.New("it is too old")
			}
			return nil
		},
	}
	all := []*process.Process{{PID: 3, Created: time.Unix(1, 0)}, {PID: 2}, {PID: 1}}
	m.follow(all)
	m.ask(t.Context())
	m.ask(t.Context())
	assert.Equal(t, []int32{1, 3, 1}, asked, "one that refused is not asked again")
	assert.Equal(t, 1, logged.FilterMessageSnippet("did not write its perf map").Len())
	// Another process got its number.
	all[0].Created = time.Unix(2, 0)
	m.follow(all)
	m.ask(t.Context())
	assert.Equal(t, []int32{1, 3, 1, 1, 3}, asked)
	// None is left.
	m.follow(nil)
	m.ask(t.Context())
	assert.Len(t, asked, 5)
	assert.Empty(t, m.told)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.run(ctx)
}
