package interpreter

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRubyIsInTheMethodsThatItSays(t *testing.T) {
	const program = "/usr/bin/ruby3.1"
	if _, err := os.Stat(program); err != nil {
		t.Skip("no Ruby 3.1 here: ", err)
	}
	for script, threads := range map[string]int{"waits.rb": 4, "forked.rb": 1} {
		t.Run(script, func(t *testing.T) {
			var told runningRuby
			startScript(t, &told, program, "testdata/"+script)
			require.Len(t, told.Threads, threads)
			requireRubyFrames(t, told)
		})
	}
}

// requireRubyFrames looks at each thread of a script that says where it is.
func requireRubyFrames(t *testing.T, told runningRuby) {
	reader := newTestReader()
	for id, want := range told.Threads {
		tid, err := strconv.Atoi(id)
		require.NoError(t, err)
		calls, err := reader.Look(told.PID, int32(tid), waiting(t, told.PID, int32(tid))) //nolint:gosec // a thread id
		require.NoError(t, err)
		var got [][2]any
		for _, c := range calls {
			for _, f := range c.Frames {
				got = append(got, [2]any{f.Function, float64(f.Line)})
			}
		}
		require.Equal(t, want, got)
	}
}

type runningRuby struct {
	PID     int32
	Threads map[string][][2]any
}
