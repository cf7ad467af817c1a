package interpreter

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestPHPIsInTheFunctionsThatItSays(t *testing.T) {
	const program = "/usr/bin/php8.2"
	if _, err := os.Stat(program); err != nil {
		t.Skip("no PHP 8.2 here: ", err)
	}
	var told struct {
		PID, Line int32
		Functions []string
	}
	startScript(t, &told, program, "testdata/waits.php")

	reader := newTestReader()
	var calls []Call
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // it goes on to wait
		calls, err = reader.Look(told.PID, told.PID, waiting(t, told.PID, told.PID))
		if err == nil && calls[0].Frames[0].Function == "fgets" {
			break
		}
	}
	require.NoError(t, err)
	var names []string
	for _, c := range calls {
		for _, f := range c.Frames {
			names = append(names, f.Function)
		}
	}
	assert.Equal(t, append([]string{"fgets"}, told.Functions...), names)
	assert.Equal(t, threadtrace.OriginLibrary, calls[0].Frames[0].Origin)
	f := calls[0].Frames[1]
	assert.Equal(t, "waits.php", f.Module)
	assert.Equal(t, told.Line, f.Line)
	assert.Equal(t, threadtrace.OriginApplication, f.Origin)
	assert.Len(t, calls, 3, "array_map calls back from C, and the generator is resumed from it")
}
