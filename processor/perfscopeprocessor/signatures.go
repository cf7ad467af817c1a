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
}

// readSignatures reads the files that the patterns name. One that can't be read
// is told of and left out: what is analysed without it is worth more than
// nothing. It is nil when no files are configured.
func readSignatures(patterns []string, log *zap.Logger, telemetry *metadata.TelemetryBuilder) *signatures {
	if len(patterns) == 0 {
		return nil
	}
	s := &signatures{log: log, telemetry: telemetry, of: map[signature.Program]*signature.Matcher{}, matchers: map[*signature.File]*signature.Matcher{}}
	var paths []string
	for _, pattern := range patterns {
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

// matcher gives the signatures of the program whose resource it is, nil when
// there are none. That they are of another build is said once per program.
func (s *signatures) matcher(resource pcommon.Map) *signature.Matcher {
	running := signature.ProgramOf(func(key string) string {
		if v, ok := resource.Get(key); ok {
			return v.AsString()
		}
		return ""
	})
	m, known := s.of[running]
	if known {
		return m
	}
	if len(s.of) >= maxPrograms {
		clear(s.of)
	}
	m = s.find(running)
	s.of[running] = m
	return m
}

func (s *signatures) find(running signature.Program) *signature.Matcher {
	var refused error
	for _, f := range s.files {
		err := f.Fits(running)
		if err == nil {
			if s.matchers[f] == nil {
				s.matchers[f] = signature.NewMatcher(f)
			}
			return s.matchers[f]
		}
		if f.Same(running) {
			refused = err
		}
	}
	if refused != nil {
		s.count("refused")
		s.log.Warn("The signatures of a program are of another build and are not used.", zap.Error(refused))
	}
	return nil
}
