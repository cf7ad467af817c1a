//go:build ignore

// Command doors checks JSON Web Tokens.
package main

import (
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

func main() {
	key := []byte("a key of the testbed's")
	serve(func(r *http.Request, _ []byte) (any, error) {
		token, err := jwt.Parse(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), func(*jwt.Token) (any, error) { return key, nil })
		if err != nil {
			return nil, err
		}
		return token.Claims.GetSubject()
	})
}
