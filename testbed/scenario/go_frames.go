package scenario

import "context"

// shelfFrames: a file is read through a decoder that asks for a few bytes at a
// time, and nobody put a buffer between the two.
//
// The mechanism of https://github.com/weaviate/weaviate/issues/1713 (a log is
// read with a system call for every field of a record) and of
// https://github.com/llehouerou/waves/pull/37 (a raw *os.File handed to a
// decoder that reads frames).
func shelfFrames() Scenario {
	return Scenario{
		Name:   "shelf-frames",
		Title:  "a Go server reads large files in tiny pieces",
		Server: "shelf", Language: Go, Kind: TinyIO, Source: Own, Split: Tune,
		Normal: "a document server with attachments of 8 to 32 KiB",
		Fault:  "a third of the attachments is replaced by scans of 2 MiB, which are read with 8,000 system calls each",
		// apps/shelf/store/frames.go reads header and payload of each frame
		// on its own; store.go hands it the file as it is.
		Truth:    []string{shelfPackage + "store.(*frameReader).next", shelfPackage + "store.(*frameReader).Read", shelfPackage + "store.(*Store).WriteAttachment"},
		Patterns: []string{"tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := startShelf(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s.Server, Load: s.load(), Fault: s.replaceAttachments}, nil
		},
	}
}

// replaceAttachments makes every third attachment that the load reads a large
// one.
func (s *shelf) replaceAttachments(ctx context.Context) (func(), error) {
	for i := 0; i < shelfAttachments; i += 3 {
		if err := s.attach(ctx, i, len(noise)); err != nil {
			return nil, err
		}
	}
	return func() {}, nil
}
