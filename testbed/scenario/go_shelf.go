package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// What a shelf holds at the start of each scenario.
const (
	shelfDocuments   = 400
	shelfAttachments = 200
	shelfTags        = 20
	shelfRate        = 250
)

// shelfPackage is where the server's functions are.
const shelfPackage = "github.com/perfscope/perfscope/testbed/apps/shelf/"

// shelf is a running shelf and what its clients do differently once a fault is
// on.
type shelf struct {
	*server.Server
	// unsized makes clients send attachments without saying their size.
	unsized atomic.Bool
	// upload is the size of attachments that the load sends.
	upload int
}

// startShelf starts a shelf with documents and attachments in it.
func startShelf(ctx context.Context, flags ...string) (*shelf, error) {
	s, err := server.StartShelf(ctx, flags...)
	if err != nil {
		return nil, err
	}
	sh := &shelf{Server: s, upload: 32 << 10}
	if err := sh.fill(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return sh, nil
}

func (s *shelf) fill(ctx context.Context) error {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range shelfDocuments {
		if err := s.send(ctx, http.MethodPut, fmt.Sprintf("/v1/documents/doc-%d", i), shelfText(i, r)); err != nil {
			return err
		}
	}
	for i := range shelfAttachments {
		if err := s.attach(ctx, i, 8<<10+r.IntN(24<<10)); err != nil {
			return err
		}
	}
	return nil
}

// attach replaces a document's attachment.
func (s *shelf) attach(ctx context.Context, i, size int) error {
	return s.send(ctx, http.MethodPut, fmt.Sprintf("/v1/documents/doc-%d/attachment", i), noise[:size])
}

// send makes one request that must succeed.
func (s *shelf) send(ctx context.Context, method, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return nil
}

// noise is what attachments are made of.
var noise = func() []byte {
	b := make([]byte, 2<<20)
	r := rand.New(rand.NewPCG(1, 3))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

var shelfWords = strings.Fields(`river stone harbour engine winter letter garden copper silence market
	bridge paper thunder orchard signal mirror valley candle anchor meadow`)

// shelfText is a document of 2 to 8 KiB.
func shelfText(i int, r *rand.Rand) []byte {
	word := func() string { return shelfWords[r.IntN(len(shelfWords))] }
	var text strings.Builder
	for size := 2<<10 + r.IntN(6<<10); text.Len() < size; {
		switch r.IntN(10) {
		case 0:
			fmt.Fprintf(&text, "# %s and %s\n", word(), word())
		case 1, 2:
			fmt.Fprintf(&text, "- the *%s* of the %s\n", word(), word())
		default:
			for range 12 + r.IntN(20) {
				text.WriteString(word())
				text.WriteByte(' ')
			}
			text.WriteByte('\n')
		}
	}
	body, _ := json.Marshal(map[string]any{
		"title":  fmt.Sprintf("The %s and the %s, %d", word(), word(), i),
		"author": word(),
		"tags":   []string{fmt.Sprintf("tag-%d", i%shelfTags)},
		"body":   text.String(),
	})
	return body
}

// load is a day of readers and a few editors: documents as JSON and as HTML,
// lists, searches, attachments up and down, and mistakes.
func (s *shelf) load() load.Config {
	return httpLoad(8, shelfRate, s.request)
}

func (s *shelf) request(r *rand.Rand) (*http.Request, error) {
	base := "http://" + s.Addr + "/v1"
	document := fmt.Sprintf("%s/documents/doc-%d", base, r.IntN(shelfDocuments))
	switch n := r.IntN(100); {
	case n < 35:
		return http.NewRequest(http.MethodGet, document, nil)
	case n < 53:
		request, err := http.NewRequest(http.MethodGet, document+"/html", nil)
		if err == nil {
			request.Header.Set("Accept-Encoding", "gzip")
		}
		return request, err
	case n < 61:
		return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/documents?tag=tag-%d", base, r.IntN(shelfTags)), nil)
	case n < 71:
		return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/search?tag=tag-%d&q=%s", base,
			r.IntN(shelfTags), shelfWords[r.IntN(len(shelfWords))]), nil)
	case n < 82:
		i := r.IntN(shelfDocuments)
		return http.NewRequest(http.MethodPut, fmt.Sprintf("%s/documents/doc-%d", base, i), bytes.NewReader(shelfText(i, r)))
	case n < 92:
		return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/documents/doc-%d/attachment", base, r.IntN(shelfAttachments)), nil)
	case n < 95:
		// Documents beyond the first hundreds keep what load sends.
		i := shelfAttachments + r.IntN(shelfDocuments-shelfAttachments)
		request, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/documents/doc-%d/attachment", base, i), bytes.NewReader(noise[:s.upload]))
		if err == nil && s.unsized.Load() {
			request.ContentLength = -1
		}
		return request, err
	case n < 97:
		return http.NewRequest(http.MethodGet, base+"/activity", nil)
	case n < 99:
		return http.NewRequest(http.MethodGet, base+"/documents/not-there", nil)
	default:
		return http.NewRequest(http.MethodPut, document, strings.NewReader(`{"body": "no title"}`))
	}
}
