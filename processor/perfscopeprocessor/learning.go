package perfscopeprocessor

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/signature"
)

const (
	// maxLessons bounds the programs that are learned: each may hold ten
	// megabytes and take seconds to mine, and a host runs few that matter.
	maxLessons = 16
	// firstLesson is after how much of the records' time something is concluded
	// first, longestLesson how far apart two conclusions are at most: a program
	// shows what it does in its first minutes. Between the two the time doubles.
	firstLesson   = time.Minute
	longestLesson = 16 * time.Minute
	// keepFor bounds a look into the storage, or a write.
	keepFor = 5 * time.Second
)

// learning extends signatures by the stacks that live calls bring.
type learning struct {
	log      *zap.Logger
	programs map[signature.Program]*lesson

	mu    sync.Mutex
	store storage.Client // nil when nothing outlives the collector
}

// lesson is what is learned of one program.
type lesson struct {
	signature.Program
	// base is what was known before this collector was started.
	base  *signature.File
	miner *signature.Miner
	// next is when, in the records' time, something is concluded, after is how
	// far behind the last time that is.
	next  int64
	after time.Duration
	calls uint64
}

// useStorage has what is learned kept by an extension of the collector.
func (l *learning) useStorage(ctx context.Context, host component.Host, extension, of component.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		return nil // another pipeline of this processor did it
	}
	e, ok := host.GetExtensions()[extension].(storage.Extension)
	if !ok {
		return fmt.Errorf("signatures::storage: there is no storage extension %q; list one under service::extensions, such as file_storage", extension)
	}
	client, err := e.GetClient(ctx, component.KindProcessor, of, "signatures")
	if err != nil {
		return fmt.Errorf("signatures::storage: %w", err)
	}
	l.store = client
	return nil
}

// lesson gives what is learned of a program, nil when nothing is.
func (l *learning) lesson(running signature.Program) *lesson {
	if l == nil {
		return nil
	}
	return l.programs[running]
}

// of gives what is learned of a program, nil when there are too many.
func (l *learning) of(running signature.Program, known func() *signature.File) *lesson {
	if p := l.programs[running]; p != nil {
		return p
	}
	if len(l.programs) >= maxLessons {
		return nil
	}
	p := &lesson{Program: running, base: known(), miner: signature.NewMiner(running.Arch, signature.FewSequences), after: firstLesson}
	if p.base == nil {
		p.base = &signature.File{Program: running, Load: "learned from live stacks"}
	}
	l.programs[running] = p
	return p
}

// recall reads what was kept of a program.
func (l *learning) recall(running signature.Program) *signature.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepFor)
	defer cancel()
	data, err := l.store.Get(ctx, running.FileName())
	if err == nil && data == nil {
		return nil
	}
	var f *signature.File
	if err == nil {
		f, err = signature.Read(bytes.NewReader(data))
	}
	if err == nil {
		err = f.Fits(running)
	}
	if err != nil {
		l.log.Warn("Signatures that were learned before can't be used; they are learned anew.",
			zap.String("process.executable.path", running.Executable), zap.Error(err))
		return nil
	}
	l.log.Info("Signatures that were learned before were found.", zap.String("process.executable.path", running.Executable), zap.Int("functions", len(f.Functions)))
	return f
}

// conclude mines what was seen of a program by an instant. It is nil while that
// teaches nothing.
func (l *learning) conclude(p *lesson, at int64) *signature.File {
	first := p.next == 0
	p.next = at + int64(p.after)
	if first {
		return nil
	}
	p.after = min(2*p.after, longestLesson)
	now := p.miner.Progress()
	if taught := now.Calls - now.Bare; taught == p.calls {
		return nil
	} else {
		p.calls = taught
	}
	f := p.miner.Mine(p.base)
	f.Program = p.Program
	l.keep(f)
	l.log.Info("Signatures were learned.", zap.String("process.executable.path", p.Executable),
		zap.Int("functions", len(f.Functions)), zap.Uint64("calls_with_stack", p.calls))
	return f
}

func (l *learning) keep(f *signature.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return
	}
	var text bytes.Buffer
	err := f.Write(&text)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), keepFor)
		defer cancel()
		err = l.store.Set(ctx, f.FileName(), text.Bytes())
	}
	if err != nil {
		l.log.Error("Signatures that were learned could not be stored.", zap.String("process.executable.path", f.Executable), zap.Error(err))
	}
}

// stop concludes and gives the storage back.
func (l *learning) stop() {
	for _, p := range l.programs {
		p.miner.Finish()
		l.conclude(p, p.next)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		if err := l.store.Close(context.Background()); err != nil {
			l.log.Error("The storage of signatures could not be closed.", zap.Error(err))
		}
	}
}
