package signatureexporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/exporter/signatureexporter/internal/metadata"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// program is what is mined of one program.
type program struct {
	signature.Program
	path string
	load string
	// base is what the file held when the first record came.
	base  *signature.File
	miner *signature.Miner
	// fresh is set when calls came since it was mined last.
	fresh bool
	// seen is what of the miner's progress is in the telemetry.
	seen      signature.Progress
	functions int
	warned    bool
}

// openProgram starts from what is known of a program. A file that can't be used
// is set aside, and said so.
func openProgram(cfg *Config, which signature.Program, log *zap.Logger) *program {
	p := &program{
		Program: which, path: filepath.Join(cfg.Directory, which.FileName()), load: cfg.Load,
		miner: signature.NewMiner(which.Arch, signature.Sequences),
		base:  &signature.File{Program: which},
	}
	f, err := readFile(p.path)
	if err == nil {
		err = f.Fits(which)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		log.Info("Extracting the signatures of a program.", zap.String("process.executable.path", which.Executable), zap.String("file", p.path))
	case err != nil:
		aside := p.path + ".unusable"
		log.Warn("A signature file can't be used; it is set aside, and a new one begun.",
			zap.String("file", p.path), zap.String("renamed_to", aside), zap.Error(errors.Join(err, os.Rename(p.path, aside))))
	default:
		p.base, p.functions = f, len(f.Functions)
		log.Info("Extending the signatures of a program.", zap.String("process.executable.path", which.Executable),
			zap.String("file", p.path), zap.Int("functions", p.functions))
	}
	return p
}

func readFile(path string) (*signature.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return signature.Read(file)
}

func (p *program) take(ctx context.Context, t *metadata.TelemetryBuilder, b *threadtrace.Batch) {
	p.miner.Add(b)
	now := p.miner.Progress()
	p.fresh = p.fresh || now.Calls > p.seen.Calls
	t.ExporterSignatureCalls.Add(ctx, int64(now.Calls-p.seen.Calls))
	t.ExporterSignatureCallsWithoutStack.Add(ctx, int64(now.Bare-p.seen.Bare))
	t.ExporterSignatureSequencesLeftOut.Add(ctx, int64(now.Left-p.seen.Left))
	p.seen = now
}

func (p *program) mine() *signature.File {
	f := p.miner.Mine(p.base)
	if p.load != "" {
		f.Load = p.load
	}
	p.fresh, p.functions = false, len(f.Functions)
	return f
}

// save replaces the file as a whole: who reads it finds the old one or the new.
func (p *program) save(f *signature.File) (err error) {
	dir := filepath.Dir(p.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(p.path)+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", p.path, err), os.Remove(file.Name()))
		}
	}()
	// It holds names of functions and calls: the processor's account may be
	// another.
	err = errors.Join(f.Write(file), file.Chmod(0o640), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), p.path)
}

// report says how far the extraction is.
func (p *program) report(log *zap.Logger, f *signature.File, now signature.Progress) {
	log.Info("Signatures so far.", zap.String("process.executable.path", p.Executable),
		zap.Int("functions", len(f.Functions)), zap.Uint64("calls", now.Calls), zap.Uint64("without_stack", now.Bare),
		zap.Uint64("sequences", now.Sequences), zap.Int("distinct", now.Distinct), zap.String("file", p.path))
	if 2*now.Bare > now.Calls && !p.warned {
		p.warned = true
		log.Warn("Most calls come without a stack, and nothing is learned from them: set stacks::every to 1 and stacks::max_rate to 0 in the syscall receiver.",
			zap.String("process.executable.path", p.Executable))
	}
}
