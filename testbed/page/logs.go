package page

import (
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logs reads the page's address off its log, as a person would.
type logs struct {
	mu sync.Mutex
	at string
}

func (l *logs) logger() *zap.Logger {
	return zap.New(&addressCore{Core: zapcore.NewNopCore(), of: l})
}

func (l *logs) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

type addressCore struct {
	zapcore.Core
	of *logs
}

func (c *addressCore) Enabled(zapcore.Level) bool { return true }

func (c *addressCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return to.AddCore(e, c)
}

func (c *addressCore) Write(_ zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		if f.Key == "address" {
			c.of.mu.Lock()
			c.of.at = f.String
			c.of.mu.Unlock()
		}
	}
	return nil
}
