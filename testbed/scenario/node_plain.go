package scenario

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// plainEmphasis is markdownEmphasis on a Node that runs as everybody starts it.
func plainEmphasis() Scenario {
	sc := markdownEmphasis()
	sc.Name = "markdown-plain"
	sc.Title = "markdown-it computes, and Node runs without any flag"
	sc.Split, sc.Quick = Report, false
	sc.Normal += "; nothing names the functions of scripts"
	sc.Start = func(ctx context.Context) (Workload, error) {
		s, err := server.StartPlainNode(ctx, "notes")
		if err != nil {
			return Workload{}, err
		}
		return Workload{
			Server: s,
			Load:   notesLoad(s),
			Fault: func(ctx context.Context) (func(), error) {
				return pester(ctx, 250*time.Millisecond, func() (*http.Request, error) {
					return postJSON("http://"+s.Addr+"/preview", map[string]string{"text": strings.Repeat("*_", 3000)})
				}), nil
			},
		}, nil
	}
	return sc
}
