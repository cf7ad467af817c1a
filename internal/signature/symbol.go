package signature

import (
	"fmt"
	"strings"
	"sync"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Symbol is one letter of an episode: a system call together with how it
// ended. A call that fails is another step than the same call succeeding, and so
// is one that comes to nothing: a read at the end of a file, a wait for events
// whose time is over, a futex that woke nobody.
type Symbol uint32

const (
	errnoBits = 12 // the kernel's errnos are below 4095
	errnoMask = 1<<errnoBits - 1
	// nothing stands for a result of zero where the result is a count.
	nothing = errnoMask
	// maxNumber is the largest call number that fits: no architecture has
	// a thousand.
	maxNumber = 1<<(32-errnoBits) - 1
)

// counts are the calls whose result is a count.
const counts = threadtrace.ClassInput | threadtrace.ClassOutput | threadtrace.ClassReadiness | threadtrace.ClassFutex

// symbolOf is the symbol of a finished call; false when its number is none.
func symbolOf(classes *threadtrace.Classes, number, ret int32) (Symbol, bool) {
	if number < 0 || number > maxNumber {
		return 0, false
	}
	return Symbol(number)<<errnoBits | ending(classes, number, ret), true
}

// ending is how a call ended: zero for most that succeed.
func ending(classes *threadtrace.Classes, number, ret int32) Symbol {
	switch {
	case ret < 0 && ret > -nothing:
		return Symbol(-ret)
	case ret == 0 && classes.Is(number, counts):
		return nothing
	}
	return 0
}

// text writes a symbol as people read it: "read", "read:EAGAIN", "read:0".
func (s Symbol) text(arch string) string {
	name := threadtrace.Name(arch, int32(s>>errnoBits))
	if errno := int32(s & errnoMask); errno != 0 {
		if errno == nothing {
			return name + ":0"
		}
		return name + ":" + threadtrace.ErrnoName(errno)
	}
	return name
}

func parseSymbol(arch, text string) (Symbol, error) {
	name, errno, failed := strings.Cut(text, ":")
	number, ok := threadtrace.Number(arch, name)
	if !ok || number < 0 || number > maxNumber {
		return 0, fmt.Errorf("%.40q is no system call of architecture %q", name, arch)
	}
	s := Symbol(number) << errnoBits
	if failed {
		code, ok := errnos()[errno]
		if !ok {
			return 0, fmt.Errorf("%.40q is no error code of Linux", errno)
		}
		s |= code
	}
	if s.text(arch) != text {
		return 0, fmt.Errorf("%.40q is written %q", text, s.text(arch))
	}
	return s, nil
}

// errnos gives the codes by their names.
var errnos = sync.OnceValue(func() map[string]Symbol {
	codes := make(map[string]Symbol, errnoMask)
	for code := int32(1); code < nothing; code++ {
		codes[threadtrace.ErrnoName(code)] = Symbol(code)
	}
	codes["0"] = nothing
	return codes
})
