package interpreter

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Where PHP 8.2 has what a look needs (offsetof, without ZTS, on 64 bits;
// testdata/php_offsets.c prints it).
const (
	phpCurrent = 488 // zend_executor_globals.current_execute_data

	phpOpline, phpFunction, phpCallInfo, phpPrevious, phpFrameSize = 0, 24, 40, 48, 56 // zend_execute_data
	phpLine                                                        = 24                // zend_op.lineno
	phpType, phpName, phpScope, phpFile, phpFunctionSize           = 0, 8, 16, 152, 160
	phpClassName                                                   = 8 // zend_class_entry.name
	phpLength, phpText                                             = 16, 24

	// phpTop is set on the frame that a call of the loop began with (ZEND_CALL_TOP).
	phpTop = 1 << 17
	// The types of zend_function.
	phpInternal, phpUser, phpEval = 1, 2, 4
	// phpCommon is how much all functions have, internal ones too.
	phpCommon = 64
)

// phpProgram is how programs with the PHP of a known layout are named.
var phpProgram = regexp.MustCompile(`^(?:lib)?php(?:-fpm|-cgi)?8\.2(?:\.so)?$`)

// php reads the frames of one process of PHP, which has one thread that runs it.
type php struct {
	globals   uint64
	module    string
	functions map[uint64]phpFunctionName
	held      int64 // bytes, of functions
}

func (h *php) bytes() int64 { return h.held }

// phpFunctionName is what is remembered of a function: it is trusted as code of
// CPython is.
type phpFunctionName struct {
	name, scope, file uint64
	frame             threadtrace.Frame
	checked           time.Time
}

func newPHP(p *Program, _ *look) (*php, error) {
	if !phpProgram.MatchString(p.Module) {
		return nil, fmt.Errorf("%w: PHP %s", ErrUnsupported, cleantext.Clean(p.Module, cleantext.MaxName))
	}
	return &php{globals: p.Variables["executor_globals"], module: p.Module, functions: map[uint64]phpFunctionName{}}, nil
}

// calls are the frames of the main thread.
func (h *php) calls(l *look, t Thread) ([]Call, error) {
	if !t.Main {
		return nil, ErrNoThread
	}
	frame, err := l.word(h.globals + phpCurrent)
	if err != nil {
		return nil, err
	}
	var calls callList
	for links := 0; frame != 0; links++ {
		if calls.full() || links > 2*maxFrames {
			return calls.cut(), nil
		}
		b, err := l.near(frame, phpFrameSize)
		if err != nil {
			return calls.cut(), err
		}
		opline, function, previous := at(b, phpOpline), at(b, phpFunction), at(b, phpPrevious)
		top := int32At(b, phpCallInfo)&phpTop != 0
		if function != 0 { // else it stands between the frames of a generator
			f, user, err := h.frame(l, function)
			if err != nil {
				return calls.cut(), err
			}
			if user {
				f.Line = phpLineOf(l, opline)
			}
			calls.add(f)
			if user && top {
				calls.end()
			}
		}
		frame = previous
	}
	return calls.all(), nil
}

// phpLineOf is the line of an instruction, zero when it cannot be read.
func phpLineOf(l *look, opline uint64) int32 {
	var b [4]byte
	if opline == 0 || l.read(b[:], opline+phpLine) != nil {
		return 0
	}
	return max(int32At(b[:], 0), 0)
}

// frame names a function; user is set on one of the program's, which has lines.
func (h *php) frame(l *look, address uint64) (f threadtrace.Frame, user bool, err error) {
	known, ok := h.functions[address]
	if ok && l.now.Sub(known.checked) < trusted {
		return known.frame, known.file != 0, nil
	}
	var b [phpFunctionSize]byte
	if err := l.read(b[:phpCommon], address); err != nil {
		return f, false, err
	}
	kind := b[phpType]
	if user = kind == phpUser || kind == phpEval; user {
		if err := l.read(b[phpCommon:], address+phpCommon); err != nil {
			return f, false, err
		}
	} else if kind != phpInternal {
		return f, false, fmt.Errorf("%w: a function of kind %d", ErrMalformed, kind)
	}
	now := phpFunctionName{name: at(b[:], phpName), scope: at(b[:], phpScope), checked: l.now}
	if user {
		now.file = at(b[:], phpFile)
	}
	if ok && now.name == known.name && now.scope == known.scope && now.file == known.file {
		now.frame = known.frame
	} else if now.frame, err = h.read(l, &now, user); err != nil {
		return f, false, err
	}
	size := codeSize + int64(len(now.frame.Function)+len(now.frame.File))
	if len(h.functions) >= maxCodes || h.held+size > maxBytesOfOne {
		clear(h.functions)
		h.held = 0
	}
	h.functions[address] = now
	h.held += size
	return now.frame, user, nil
}

func (h *php) read(l *look, n *phpFunctionName, user bool) (f threadtrace.Frame, err error) {
	name, file := "{main}", ""
	if n.name != 0 {
		if name, err = phpString(l, n.name); err != nil {
			return f, err
		}
	}
	if n.scope != 0 {
		class, err := l.word(n.scope + phpClassName)
		if err != nil {
			return f, err
		}
		prefix, err := phpString(l, class)
		if err != nil {
			return f, err
		}
		name = prefix + "::" + name
	}
	if !user {
		return threadtrace.Frame{Function: cleantext.Clean(name, cleantext.MaxFunction), Module: h.module, Origin: threadtrace.OriginLibrary}, nil
	}
	if file, err = phpString(l, n.file); err != nil {
		return f, err
	}
	return phpFrame(name, file), nil
}

// phpString reads a zend_string.
func phpString(l *look, address uint64) (string, error) {
	length, err := l.word(address + phpLength)
	if err != nil {
		return "", err
	}
	b := make([]byte, min(length, maxText))
	err = l.read(b, address+phpText)
	return string(b), err
}

// phpFrame makes a frame of a function and its file; what Composer and PEAR
// installed is a library's.
func phpFrame(function, file string) threadtrace.Frame {
	f := threadtrace.Frame{
		Function: cleantext.Clean(function, cleantext.MaxFunction),
		File:     cleantext.Clean(file, cleantext.MaxPath),
	}
	module := file[strings.LastIndexByte(file, '/')+1:]
	for _, packages := range []string{"/vendor/", "/usr/share/php/"} {
		if i := strings.LastIndex(file, packages); i >= 0 {
			module, f.Origin = file[i+len(packages):], threadtrace.OriginLibrary
		}
	}
	f.Module = cleantext.Clean(module, cleantext.MaxFunction)
	return f
}
