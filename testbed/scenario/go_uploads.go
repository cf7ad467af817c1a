package scenario

import "context"

// shelfUploads: a body whose size is not known is collected in a buffer that
// grows by the same few bytes each time, by copying everything.
//
// The mechanism of https://github.com/mailgun/lemma/pull/17 and of
// https://github.com/open-policy-agent/opa/pull/6906 (a buffer of the right
// size when Content-Length is there, and another path without it), grown by
// fixed steps as in https://github.com/projectdiscovery/utils/pull/786.
func shelfUploads() Scenario {
	return Scenario{
		Name:   "shelf-uploads",
		Title:  "a Go server makes garbage of uploads whose size it is not told",
		Server: "shelf", Language: Go, Kind: Allocation, Source: Own, Split: Tune,
		Normal: "a document server; seven attachments of 1 MiB are sent to it per second, with their size",
		Fault:  "a proxy before it begins to send uploads in chunks, without Content-Length: each is copied 256 times while it is read",
		// apps/shelf/api/attachments.go: the buffer that grows by 4 KiB.
		Truth: []string{shelfPackage + "api.readUnsized", shelfPackage + "api.readBody"},
		// The time is in copying and in the garbage collector.
		Patterns: []string{"long_computation", "memory_map_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := startShelf(ctx)
			if err != nil {
				return Workload{}, err
			}
			s.upload = 1 << 20
			return Workload{
				Server: s.Server,
				Load:   s.load(),
				Fault: func(context.Context) (func(), error) {
					s.unsized.Store(true)
					return func() { s.unsized.Store(false) }, nil
				},
			}, nil
		},
	}
}
