package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// ticketsAttachments: json-server 0.17 keeps its database in memory and writes
// all of it, as text and synchronously, for every change.
func ticketsAttachments() Scenario {
	return Scenario{
		Name:   "tickets-attachments",
		Title:  "json-server writes its whole database for every change",
		Server: "tickets", Language: Node, Kind: SyncWrite, Source: NPM, Split: Report,
		Normal: "a help desk: tickets, comments and who works on them, one request in ten a change",
		Fault:  "somebody attaches six scans of 4 MB to tickets: 24 MB are made into text and written for every comment",
		// json-server/lib/server/router/plural.js and write.js call db.write
		// of lowdb 1.0 (lib/main.js), which calls write of
		// lowdb/adapters/FileSync.js: writeFileSync of what stringify made.
		// https://github.com/typicode/lowdb/tree/v1.0.0#readme warns of very
		// large files.
		Truth:    []string{"write", "stringify", "db.write", "writeFileSync"},
		Patterns: []string{"sync_write_per_operation", "long_computation", "blocked_io"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPackage(ctx, "tickets", ticketsLoad, func(ctx context.Context, s *server.Server) (func(), error) {
				return func() {}, attachScans(ctx, s)
			})
		},
	}
}

func attachScans(ctx context.Context, s *server.Server) error {
	c := &http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	var failed error
	for ticket := range 6 {
		request, err := postJSON("http://"+s.Addr+"/attachments", map[string]any{
			"ticketId": ticket + 1, "name": "scan.png", "content": strings.Repeat("iVBORw0KGgoAAAA0", 256<<10),
		})
		if err == nil {
			err = send(ctx, c, request)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// ticketsLoad is people who call, and agents who look after them.
func ticketsLoad(s *server.Server) load.Config {
	return httpLoad(8, 100, func(r *rand.Rand) (*http.Request, error) {
		base := "http://" + s.Addr
		ticket := 1 + r.IntN(300)
		switch n := r.IntN(100); {
		case n < 40:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/tickets/%d?_embed=comments", base, ticket), nil)
		case n < 60:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/desk/%d", base, 1+r.IntN(5)), nil)
		case n < 75:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/tickets?_page=%d&_limit=20&_sort=title", base, 1+r.IntN(15)), nil)
		case n < 85:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/comments?ticketId=%d", base, ticket), nil)
		case n < 90:
			return http.NewRequest(http.MethodGet, base+"/agents", nil)
		case n < 96:
			return postJSON(base+"/comments", map[string]any{"ticketId": ticket, "body": "Tried another cable."})
		}
		request, err := postJSON(fmt.Sprintf("%s/tickets/%d", base, ticket), map[string]any{"state": []string{"open", "closed"}[r.IntN(2)]})
		if err == nil {
			request.Method = http.MethodPatch
		}
		return request, err
	})
}
