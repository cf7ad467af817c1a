package perfscopeprocessor

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

// maxPrograms bounds the programs that are remembered to have signatures or
// none; beyond it all are looked up anew.
const maxPrograms = 4096

// signatures are what the files say, by the programs that run.
type signatures struct {
	files     []*signature.File
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	// of has the matcher of each running program, nil when there is none.
	of map[signature.Program]*signature.Matcher
	// matchers has that of each file, made when it is first used.
	matchers map[*signature.File]*signature.Matcher
	// learned has what live stacks teach; nil when nothing is learned.
	learned *learning
}

// readSignatures reads the files that the patterns name. One that can't be read
// is reported and left out: what is analysed without it is worth more than
// nothing. It is nil when there are to be no signatures.
func readSignatures(cfg SignaturesConfig, log *zap.Logger, telemetry *metadata.TelemetryBuilder) *signatures {
	if len(cfg.Files) == 0 && !cfg.Learn {
		return nil
	}
	s := &signatures{log: log, telemetry: telemetry, of: map[signature.Program]*signature.Matcher{}, matchers: map[*signature.File]*signature.Matcher{}}
	if cfg.Learn {
		s.learned = &learning{log: log, programs: map[signature.Program]*lesson{}}
	}
	var paths []string
	for _, pattern := range cfg.Files {
		found, _ := filepath.Glob(pattern) // Validate knows that it is none that is wrong
		if len(found) == 0 {
			log.Warn("No signature file is there.", zap.String("signatures::files", pattern))
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		f, err := readSignatureFile(path)
		if err != nil {
			s.count("unusable")
			log.Warn("A signature file can't be read and is left out; extract it again (config/extract.yaml).", zap.String("file", path), zap.Error(err))
			continue
		}
		s.count("loaded")
		log.Info("Signatures were loaded.", zap.String("file", path), zap.String("process.executable.path", f.Executable),
			zap.String("build_id", f.BuildID), zap.Int("functions", len(f.Functions)))
		s.files = append(s.files, f)
	}
	return s
}

func readSignatureFile(path string) (*signature.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return signature.Read(file)
}

func (s *signatures) count(result string) {
	s.telemetry.ProcessorPerfscopeSignatureFiles.Add(context.Background(), 1, withResult(result))
}

func programOf(resource pcommon.Map) signature.Program {
	return signature.ProgramOf(func(key string) string {
		if v, ok := resource.Get(key); ok {
			return v.AsString()
		}
		return ""
	})
}

// matcher gives the signatures of a program that runs, nil when there are none.
// That they are of another build is said once per program.
func (s *signatures) matcher(running signature.Program) *signature.Matcher {
	m, known := s.of[running]
	if known {
		return m
	}
	if len(s.of) >= maxPrograms {
		clear(s.of)
	}
	var f *signature.File
	if l := s.learned.lesson(running); l != nil {
		f = l.base
	} else {
		f = s.find(running)
	}
	if f != nil {
		if s.matchers[f] == nil {
			s.matchers[f] = signature.NewMatcher(f)
		}
		m = s.matchers[f]
	}
	s.of[running] = m
	return m
}

// find gives what is known of a program: what was learned in earlier lives, or
// what a file says, whichever comes from more.
func (s *signatures) find(running signature.Program) *signature.File {
	var found *signature.File
	var refused error
	for _, f := range s.files {
		err := f.Fits(running)
		if err == nil {
			found = f
			break
		}
		if f.Same(running) {
			refused = err
		}
	}
	if s.learned != nil {
		if f := s.learned.recall(running); f != nil && (found == nil || f.Calls > found.Calls) {
			found = f
		}
	}
	if found == nil && refused != nil {
		s.count("refused")
		s.log.Warn("The signatures of a program are of another build and are not used.", zap.Error(refused))
	}
	return found
}

// learn takes the calls of a program, and from time to time what they teach.
func (s *signatures) learn(running signature.Program, f *flush) {
	if s.learned == nil || running.BuildID == "" {
		return
	}
	l := s.learned.of(running, func() *signature.File { return s.find(running) })
	if l == nil {
		return
	}
	for _, b := range f.batches {
		l.miner.Add(b)
	}
	if f.latest < l.next {
		return
	}
	if taught := s.learned.conclude(l, f.latest); taught != nil {
		s.of[running] = signature.NewMatcher(taught)
	}
}

// stop keeps what was learned.
func (s *signatures) stop() {
	if s != nil && s.learned != nil {
		s.learned.stop()
	}
}
