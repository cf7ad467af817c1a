package stack

import (
	"errors"
	"io"
)

const (
	// blockSize is the size of the pieces of a file that are kept (bytes), maxBlocks how many
	// of one file are: what a table has of one function is near each other, and a busy server is
	// met in hundreds of functions.
	blockSize = 4 << 10
	maxBlocks = 512
)

// blocks are pieces of a file, by their number; they are not changed once they are shared.
type blocks map[int64][]byte

var errNotHeld = errors.New("not held in memory")

// blockReader reads what is held of a file, and the rest from r; without one it gives
// errNotHeld. It is for one goroutine.
type blockReader struct {
	held blocks
	r    io.ReaderAt
	read blocks // from r
}

// ReadAt reads as io.ReaderAt does.
func (b *blockReader) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		block, err := b.block(at / blockSize)
		if err != nil {
			return n, err
		}
		in := at % blockSize
		if in >= int64(len(block)) {
			return n, io.EOF
		}
		n += copy(p[n:], block[in:])
	}
	return n, nil
}

func (b *blockReader) block(i int64) ([]byte, error) {
	if block, ok := b.held[i]; ok {
		return block, nil
	}
	if block, ok := b.read[i]; ok {
		return block, nil
	}
	if b.r == nil {
		return nil, errNotHeld
	}
	block := make([]byte, blockSize)
	n, err := b.r.ReadAt(block, i*blockSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if b.read == nil {
		b.read = blocks{}
	}
	b.read[i] = block[:n]
	return block[:n], nil
}

// with are the blocks with others, in the place of some where there would be too many.
func (b blocks) with(others blocks) blocks {
	all := make(blocks, min(maxBlocks, len(b)+len(others)))
	for i, block := range others {
		if len(all) < maxBlocks {
			all[i] = block
		}
	}
	for i, block := range b { // in no order: those left out are any
		if len(all) >= maxBlocks {
			break
		}
		all[i] = block
	}
	return all
}
