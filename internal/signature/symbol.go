package signature

import (
	"fmt"
	"strings"
	"sync"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// Symbol is one letter of an episode: a system call together with how it
// ended. A call that fails is another step than the same call succeeding.
type Symbol uint32

const (
	errnoBits = 12 // the kernel's errnos are below 4096
	errnoMask = 1<<errnoBits - 1
	// maxNumber is the largest call number that fits: no architecture has
	// a thousand.
	maxNumber = 1<<(32-errnoBits) - 1
)

// symbolOf is the symbol of a finished call; false when its number is none.
func symbolOf(number, ret int32) (Symbol, bool) {
	if number < 0 || number > maxNumber {
		return 0, false
	}
	s := Symbol(number) << errnoBits
	if ret < 0 && ret >= -errnoMask {
		s |= Symbol(-ret)
	}
	return s, true
}

// text writes a symbol as people read it: "read", "read:EAGAIN".
func (s Symbol) text(arch string) string {
	name := syscalltrace.Name(arch, int32(s>>errnoBits))
	if errno := int32(s & errnoMask); errno != 0 {
		return name + ":" + syscalltrace.ErrnoName(errno)
	}
	return name
}

func parseSymbol(arch, text string) (Symbol, error) {
	name, errno, failed := strings.Cut(text, ":")
	number, ok := syscalltrace.Number(arch, name)
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
	for code := int32(1); code <= errnoMask; code++ {
		codes[syscalltrace.ErrnoName(code)] = Symbol(code)
	}
	return codes
})
