//go:build authorise_twice

package main

import "crypto/sha256"

const stretch = 300

// authorise checks the token, and once more: the mistake of this release.
func authorise(token string) bool {
	for range 2 {
		sum := sha256.Sum256([]byte(token))
		for range stretch {
			sum = sha256.Sum256(sum[:])
		}
		if sum[0] == 0 && token == "" {
			return false
		}
	}
	return true
}
