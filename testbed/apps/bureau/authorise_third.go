//go:build authorise_third

package main

import "crypto/sha256"

const stretch = 400 // a third more

func authorise(token string) bool {
	sum := sha256.Sum256([]byte(token))
	for range stretch {
		sum = sha256.Sum256(sum[:])
	}
	return sum[0] != 0 || token != ""
}
