package scenario

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// gateIterations: jose 4.9.1 derives a key with as many iterations as the token
// asks for: CVE-2022-36083, https://nvd.nist.gov/vuln/detail/CVE-2022-36083.
func gateIterations() Scenario {
	return Scenario{
		Name:   "gate-iterations",
		Title:  "jose computes: tokens that ask for a million iterations",
		Server: "gate", Language: Node, Kind: Computation, Source: NPM, Split: Tune,
		Normal: "tokens are checked, encrypted under a password with 2,048 iterations (PBES2)",
		Fault:  "twice a second somebody sends a token that asks for 1,200,000",
		// jose/dist/node/cjs/runtime/pbes2kw.js has crypto.pbkdf2 derive the
		// key, in a thread of libuv's pool: OpenSSL's crypto/evp/p5_crpt2.c
		// and providers/implementations/kdfs/pbkdf2.c.
		Truth:    []string{"kdf_pbkdf2_derive", "PKCS5_PBKDF2_HMAC"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startPackage(ctx, "gate", gateLoad, func(ctx context.Context, s *server.Server) (func(), error) {
				return pester(ctx, 500*time.Millisecond, func() (*http.Request, error) {
					return withToken(s, expensiveToken(1_200_000))
				}), nil
			})
		},
	}
}

// expensiveToken opens nothing: the key is derived before that is seen.
func expensiveToken(iterations int) string {
	part := base64.RawURLEncoding.EncodeToString
	header := fmt.Sprintf(`{"alg":"PBES2-HS256+A128KW","enc":"A128CBC-HS256","p2s":"%s","p2c":%d}`, part(make([]byte, 16)), iterations)
	return strings.Join([]string{part([]byte(header)), part(make([]byte, 40)), part(make([]byte, 16)), part(make([]byte, 32)), part(make([]byte, 16))}, ".")
}

func withToken(s *server.Server, token string) (*http.Request, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+s.Addr+"/", nil)
	if err == nil {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, err
}

// gateLoad is people with tokens, of whom a few get a new one, and a few with
// none.
func gateLoad(s *server.Server) load.Config {
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = gateToken(s, i)
	}
	return httpLoad(8, 80, func(r *rand.Rand) (*http.Request, error) {
		switch r.IntN(20) {
		case 0:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/tokens/user%d", s.Addr, r.IntN(1000)), nil)
		case 1:
			return withToken(s, "")
		default:
			return withToken(s, tokens[r.IntN(len(tokens))])
		}
	})
}

// gateToken is a token of the server's; empty if it gives none, which the load
// shows.
func gateToken(s *server.Server, user int) string {
	response, err := http.Get(fmt.Sprintf("http://%s/tokens/user%d", s.Addr, user))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var answer struct{ Token string }
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return answer.Token
}
