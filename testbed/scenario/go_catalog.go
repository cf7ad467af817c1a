package scenario

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// shelfImported is how many entries a partner brings, shelfImportBatch how
// many are in one request.
const (
	shelfImported    = 30_000
	shelfImportBatch = 5_000
)

// shelfCatalog: all of the state is encoded and written under the lock that
// every reader needs, which nobody notices as long as there is little of it.
//
// The mechanism of https://github.com/getlantern/radiance/pull/416 (JSON of
// all servers and a file under the write lock, readers starve) and of
// https://github.com/natefinch/lumberjack/issues/55 (compression under the
// lock of every write).
func shelfCatalog() Scenario {
	return Scenario{
		Name:   "shelf-catalog",
		Title:  "a Go server saves its catalogue under the lock of all readers",
		Server: "shelf", Language: Go, Kind: LockConvoy, Source: Own, Split: Report,
		Normal: "a document server with 400 documents in its catalogue, which is saved at every twentieth change",
		Fault:  "a partner's 30,000 entries are imported: saving takes a hundred times as long, with the catalogue locked",
		// apps/shelf/catalog/save.go: the work, and who calls it with the
		// lock held.
		Truth:    []string{shelfPackage + "catalog.(*Catalog).save", shelfPackage + "catalog.(*Catalog).changed"},
		Patterns: []string{"lock_wait", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := startShelf(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s.Server, Load: s.load(), Fault: s.importEntries}, nil
		},
	}
}

func (s *shelf) importEntries(ctx context.Context) (func(), error) {
	for first := 0; first < shelfImported; first += shelfImportBatch {
		var batch bytes.Buffer
		for i := first; i < first+shelfImportBatch; i++ {
			fmt.Fprintf(&batch, `{"id":"partner-%d","title":"Partner's %s, %d","author":"partner","tags":["partner-%d"],"size":%d,"location":"https://partner.example/texts/%[1]d"}`+"\n",
				i, shelfWords[i%len(shelfWords)], i, i%500, 1000+i%7000)
		}
		if err := s.send(ctx, http.MethodPost, "/v1/import", batch.Bytes()); err != nil {
			return nil, err
		}
	}
	return func() {}, nil
}
