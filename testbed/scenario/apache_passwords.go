package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/server"
)

// apachePasswords: a password is hashed for every request, not for every session.
func apachePasswords() Scenario {
	return Scenario{
		Name:   "apache-passwords",
		Title:  "apache hashes the password of every request, with an algorithm that is slow on purpose",
		Server: "apache", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "the event module serves files; every eighth request is from an API client with a name and a password, of which SHA-1 is kept",
		Fault:  "an audit has the passwords kept as bcrypt of cost 10, which takes some fifty milliseconds",
		// modules/aaa/mod_authn_file.c: check_password calls
		// apr_password_validate, of APR's crypto/apr_passwd.c, for each
		// request; without mod_authn_socache nothing remembers the answer.
		Truth:    []string{"apr_password_validate", "_crypt_blowfish_rn", "_crypt_output_magic"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartApache(ctx, "event", []string{"auth_basic", "authn_file", "authz_user"},
				"StartServers 2", "MinSpareThreads 25", "MaxSpareThreads 75", "ThreadsPerChild 25", "MaxRequestWorkers 50",
				"<Location /api>", "AuthType Basic", `AuthName "api"`, "AuthBasicProvider file", "AuthUserFile passwords", "Require valid-user", "</Location>")
			if err != nil {
				return Workload{}, err
			}
			passwords := filepath.Join(s.Dir, "passwords")
			if err := errors.Join(os.WriteFile(passwords, accounts(passwordSHA1), 0o644), makeScans(s, "www/api", 50)); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 160, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(8) != 0 {
						return fileRequest(s.Addr, r)
					}
					request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/api/scan-%08x.txt", s.Addr, uint32(r.IntN(16)*3)*2654435761), nil)
					if err == nil {
						request.SetBasicAuth(fmt.Sprint("client-", r.IntN(40)), "correct-horse")
					}
					return request, err
				}),
				Fault: func(context.Context) (func(), error) {
					fresh := passwords + ".new"
					return func() {}, errors.Join(os.WriteFile(fresh, accounts(passwordBcrypt), 0o644), os.Rename(fresh, passwords))
				},
			}, nil
		},
	}
}

// What is kept of "correct-horse".
const (
	passwordSHA1   = "{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo="
	passwordBcrypt = "$2y$10$abcdefghijklmnopqrstuuf4yQswfQRuOxajohDXdzREFVDuc.Vdy"
)

func accounts(hash string) []byte {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "client-%d:%s\n", i, hash)
	}
	return []byte(b.String())
}
