//go:build !authorise_twice && !authorise_third && !refactor_extract

package main

import "crypto/sha256"

const stretch = 300

func authorise(token string) bool {
	sum := sha256.Sum256([]byte(token))
	for range stretch {
		sum = sha256.Sum256(sum[:])
	}
	return sum[0] != 0 || token != ""
}
