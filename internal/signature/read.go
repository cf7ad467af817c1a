package signature

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxFile bounds a file in bytes. The largest program that was mined
	// while this was written has a hundredth of it.
	maxFile = 64 << 20
	// maxLine bounds one line: a C++ or Java name may take some kilobytes.
	maxLine = 64 << 10
	// maxFunctions bounds the functions of one file.
	maxFunctions = 100_000
)

// ErrVersion says that a file was written by a newer version of this program.
var ErrVersion = errors.New("the file is of a newer version: extract it again with this one, or update this one")

// Read reads what Write writes. It trusts nothing: an error names the line, and
// what is wrong with it.
func Read(from io.Reader) (*File, error) {
	limited := &io.LimitedReader{R: from, N: maxFile + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxLine)
	var r reader
	n := 0
	for lines.Scan() {
		n++
		if limited.N <= 0 {
			return nil, fmt.Errorf("the file is longer than %d MiB", maxFile>>20)
		}
		if err := r.line(n, lines.Text()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if err := r.complete(); err != nil {
		return nil, err
	}
	return &r.File, nil
}

type reader struct {
	File
	// had has the header's lines that were there.
	had map[string]bool
}

func (r *reader) line(n int, text string) error {
	if n == 1 {
		return r.first(text)
	}
	if text == "" || text[0] == '#' {
		return nil
	}
	if signature, ok := strings.CutPrefix(text, "  "); ok {
		return r.signature(signature)
	}
	s := scanner{rest: text}
	word := s.word()
	if word == "function" {
		return r.function(&s)
	}
	if r.had[word] {
		return fmt.Errorf("%s was there before", word)
	}
	if len(r.Functions) > 0 {
		return fmt.Errorf("%.40q after the first function", word)
	}
	switch word {
	case "executable":
		r.Executable = s.quoted()
	case "build_id":
		r.BuildIDKind, r.BuildID = s.word(), s.quoted()
		if s.err == nil && (r.BuildID == "" || r.BuildIDKind == "") {
			return errors.New("a build_id has a kind and is not empty")
		}
	case "service":
		r.Service = s.some()
	case "arch":
		r.Arch = s.some()
	case "load":
		r.Load = s.some()
	case "calls":
		r.Calls = s.number()
		s.expect("sequences")
		r.Sequences = s.number()
	default:
		return fmt.Errorf("%.40q is none of executable, build_id, service, arch, load, calls, function", word)
	}
	r.had[word] = true
	return s.end()
}

func (r *reader) first(text string) error {
	r.had = map[string]bool{}
	s := scanner{rest: text}
	if s.word() != magic {
		return fmt.Errorf("this is no signature file: it does not begin with %q", magic)
	}
	v := s.number()
	if err := s.end(); err != nil {
		return err
	}
	if v > version {
		return fmt.Errorf("version %d, at most %d is understood: %w", v, version, ErrVersion)
	}
	if v != version {
		return fmt.Errorf("there is no version %d", v)
	}
	return nil
}

func (r *reader) function(s *scanner) error {
	if len(r.Functions) == maxFunctions {
		return fmt.Errorf("more than %d functions", maxFunctions)
	}
	var fn Function
	fn.Name = s.quoted()
	s.expect("in")
	fn.Module = s.quoted()
	s.expect("calls")
	fn.Calls = s.number()
	s.expect("invocations")
	fn.Invocations = s.number()
	s.expect("beneath")
	fn.Beneath = s.number()
	if err := s.end(); err != nil {
		return err
	}
	if fn.Calls > r.Calls || fn.Invocations > fn.Calls {
		return fmt.Errorf("%d calls and %d invocations in a file of %d calls", fn.Calls, fn.Invocations, r.Calls)
	}
	if n := len(r.Functions); n > 0 && compareFunctions(r.Functions[n-1], fn) >= 0 {
		return fmt.Errorf("function %.40q is out of order: by module, then by name, each once", fn.Name)
	}
	r.Functions = append(r.Functions, fn)
	return nil
}

func (r *reader) signature(text string) error {
	if len(r.Functions) == 0 {
		return errors.New("an episode before the first function")
	}
	fn := &r.Functions[len(r.Functions)-1]
	if len(fn.Signatures) == maxSignatures {
		return fmt.Errorf("more than %d episodes of one function", maxSignatures)
	}
	counts, episode, _ := strings.Cut(text, " ")
	right, total, _ := strings.Cut(counts, "/")
	var sig Signature
	var err1, err2, err3 error
	sig.Right, err1 = number(right)
	sig.Total, err2 = number(total)
	sig.Episode, err3 = ParseEpisode(r.Arch, episode)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if sig.Right > sig.Total {
		return fmt.Errorf("%d right of %d", sig.Right, sig.Total)
	}
	if n := len(fn.Signatures); n > 0 && fn.Signatures[n-1].Episode.Compare(sig.Episode) >= 0 {
		return fmt.Errorf("episode %.60q is out of order, or there twice", episode)
	}
	fn.Signatures = append(fn.Signatures, sig)
	return nil
}

func (r *reader) complete() error {
	if r.had == nil {
		return errors.New("the file is empty")
	}
	for _, word := range []string{"executable", "arch", "calls"} {
		if !r.had[word] {
			return fmt.Errorf("the line %q is missing: the file is cut off, or no signature file", word)
		}
	}
	if i := slices.IndexFunc(r.Functions, func(f Function) bool { return len(f.Signatures) == 0 }); i >= 0 {
		return fmt.Errorf("function %.40q has no episode: the file is cut off", r.Functions[i].Name)
	}
	return nil
}

// scanner reads the words of a line and keeps the first error.
type scanner struct {
	rest string
	err  error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *scanner) word() string {
	word, rest, _ := strings.Cut(s.rest, " ")
	s.rest = rest
	return word
}

func (s *scanner) expect(word string) {
	if got := s.word(); got != word {
		s.fail("%.40q where %q belongs", got, word)
	}
}

func (s *scanner) number() uint64 {
	n, err := number(s.word())
	if err != nil {
		s.fail("%w", err)
	}
	return n
}

// number reads a count; 63 bits are enough for all that will ever be counted,
// and sums of them do not overflow.
func number(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, fmt.Errorf("%.40q is no count", text)
	}
	return n, nil
}

func (s *scanner) quoted() string {
	quoted, err := strconv.QuotedPrefix(s.rest)
	if err != nil {
		s.fail("%.40q is not in quotes", s.rest)
		return ""
	}
	text, err := strconv.Unquote(quoted)
	if err != nil || strconv.Quote(text) != quoted {
		s.fail("%.40q is not quoted as Go does it", quoted)
		return ""
	}
	s.rest = strings.TrimPrefix(s.rest[len(quoted):], " ")
	return text
}

// some is a quoted text that is not empty.
func (s *scanner) some() string {
	text := s.quoted()
	if text == "" {
		s.fail("the text is empty")
	}
	return text
}

func (s *scanner) end() error {
	if s.rest != "" {
		s.fail("%.40q after the end", s.rest)
	}
	return s.err
}
