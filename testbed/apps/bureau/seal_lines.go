//go:build seal_lines

package main

import (
	"bytes"
	"encoding/hex"
	"hash/fnv"
)

// sealReply seals what was written so far at each line: the mistake of this release.
func sealReply(page []byte) string {
	var seal []byte
	for i := range len(page) {
		if i%256 == 0 {
			h := fnv.New128a()
			_, _ = h.Write(bytes.Clone(page[:i+1]))
			seal = h.Sum(nil)
		}
	}
	return hex.EncodeToString(seal)
}
