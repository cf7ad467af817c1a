package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/server"
)

// apacheListing: apache lists a directory that holds very many files.
func apacheListing() Scenario {
	return Scenario{
		Name:   "apache-listing",
		Title:  "apache looks at every file of a very large directory",
		Server: "apache", Language: C, Kind: TinyIO, Source: Debian, Split: Report,
		Normal: "the event module serves files and, six times a second, the listing of a directory of fifty",
		Fault:  "the directory is replaced by last year's, with 8,000 files: every listing looks each of them up and sorts them",
		// modules/generators/mod_autoindex.c: index_directory reads the
		// directory (a stat per file) and asks for every entry with
		// ap_sub_req_lookup_dirent of server/request.c, then sorts them.
		// Its functions have no names in Debian's module, they are shown by
		// where they start (2.4.71-1~deb12u1): 0x41f0 is the handler with
		// index_directory in it, 0x25f0 the comparison that sorts the files.
		// https://github.com/apache/httpd/blob/2.4.x/modules/generators/mod_autoindex.c
		Truth:    []string{"mod_autoindex.so+0x41f0", "ap_sub_req_lookup_dirent", "mod_autoindex.so+0x25f0"},
		Patterns: []string{"tiny_io", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartApache(ctx, "event", nil,
				"StartServers 2", "MinSpareThreads 25", "MaxSpareThreads 75", "ThreadsPerChild 25", "MaxRequestWorkers 50")
			if err != nil {
				return Workload{}, err
			}
			if err := errors.Join(makeScans(s, "www/incoming", 50), makeScans(s, "archive", 8_000)); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 400, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(60) == 0 {
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/incoming/", nil)
					}
					return fileRequest(s.Addr, r)
				}),
				Fault: func(context.Context) (func(), error) {
					incoming := filepath.Join(s.Dir, "www", "incoming")
					return func() {}, errors.Join(
						os.Rename(incoming, filepath.Join(s.Dir, "empty")),
						os.Rename(filepath.Join(s.Dir, "archive"), incoming),
					)
				},
			}, nil
		},
	}
}

// makeScans makes a directory of small files.
func makeScans(s *server.Server, name string, files int) error {
	dir := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range files {
		file := fmt.Sprintf("scan-%08x.%s", uint32(i)*2654435761, []string{"txt", "jpg", "bin"}[i%3])
		if err := os.WriteFile(filepath.Join(dir, file), []byte("scan\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
