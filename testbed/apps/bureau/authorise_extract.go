//go:build refactor_extract

package main

import "crypto/sha256"

const stretch = 300

//go:noinline
func stretchToken(token string) [sha256.Size]byte {
	sum := sha256.Sum256([]byte(token))
	for range stretch {
		sum = sha256.Sum256(sum[:])
	}
	return sum
}

func authorise(token string) bool { return stretchToken(token)[0] != 0 || token != "" }
