package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// notesFiles is how many files notes may link to, indexLinks how many are in
// the note that lists them all.
const notesFiles, indexLinks = 60, 1500

// notesLinks: whether a file is there is asked of the file system, in the event
// loop, for every link of a page and every time it is shown, like
// https://github.com/TryGhost/gscan/pull/430 ("superfluous blocking calls" of
// lstat for each file) and https://github.com/crafatar/crafatar/issues/58.
func notesLinks() Scenario {
	return Scenario{
		Name:   "notes-links",
		Title:  "node asks the file system for every link of a page",
		Server: "notes", Language: Node, Kind: TinyIO, Source: Own, Split: Report,
		Normal: "notes with a few links to files, comments and previews",
		Fault:  "somebody writes a note that lists 1,500 files, and twenty people a second look at it",
		// apps/notes/lib/files.js: markMissing calls has for each link, from a
		// function without a name in line 26, into which V8 compiles it.
		Truth:    []string{"has", "markMissing", "(anonymous) files.js:26"},
		Patterns: []string{"tiny_io", "long_computation"},
		Start:    startNotesLinks,
	}
}

func startNotesLinks(ctx context.Context) (Workload, error) {
	s, err := server.StartNode(ctx, "notes")
	if err != nil {
		return Workload{}, err
	}
	for i := range notesFiles {
		request, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://%s/files/scan-%d.pdf", s.Addr, i), bytes.NewReader(noise[:1<<10]))
		if err == nil {
			err = send(ctx, http.DefaultClient, request)
		}
		if err != nil {
			return Workload{}, errors.Join(err, s.Stop())
		}
	}
	usual := notesLoad(s)
	return Workload{
		Server: s,
		Load:   withLinks(s, usual),
		Fault:  func(ctx context.Context) (func(), error) { return showIndex(ctx, s) },
		Stop:   func() { server.RemovePerfMap(s) },
	}, nil
}

// withLinks has notes written with links in them, beside the usual load.
func withLinks(s *server.Server, usual load.Config) load.Config {
	dial := usual.Dial
	usual.Dial = func() (load.Client, error) {
		client, err := dial()
		requests, ok := client.(httpRequests)
		if !ok {
			return client, err
		}
		next := requests.next
		requests.next = func(r *rand.Rand) (*http.Request, error) {
			if r.IntN(10) > 0 {
				return next(r)
			}
			return postJSON("http://"+s.Addr+"/notes", map[string]string{"title": "Scans", "text": markdownText(r) + linksTo(r, 1+r.IntN(4))})
		}
		return requests, err
	}
	return usual
}

// linksTo is a list of files, one in ten of which is gone.
func linksTo(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		file := r.IntN(notesFiles * 10 / 9)
		fmt.Fprintf(&b, "- [scan %d](files/scan-%d.pdf)\n", file, file)
	}
	return b.String()
}

// showIndex writes the note of all files and looks at it twenty times a second.
func showIndex(ctx context.Context, s *server.Server) (func(), error) {
	// The store keeps the latest thousand: it is written again before it goes.
	var id atomic.Int64
	write := func(ctx context.Context) error {
		r := rand.New(rand.NewPCG(5, 5))
		request, err := postJSON("http://"+s.Addr+"/notes", map[string]string{"title": "All scans", "text": linksTo(r, indexLinks)})
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request.WithContext(ctx))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var created struct{ ID int64 }
		err = json.NewDecoder(response.Body).Decode(&created)
		id.Store(created.ID)
		return err
	}
	if err := write(ctx); err != nil {
		return nil, err
	}
	rewriting := repeat(ctx, 20*time.Second, func(ctx context.Context) { _ = write(ctx) })
	looking := pester(ctx, 50*time.Millisecond, func() (*http.Request, error) {
		return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/notes/%d", s.Addr, id.Load()), nil)
	})
	return func() {
		rewriting()
		looking()
	}, nil
}
