package syscallreceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestBuffers(t *testing.T) {
	b := buffers{most: 100}
	first := b.get(20)
	assert.Equal(t, 32, cap(first), "the class with room for twenty")
	first = append(first, threadtrace.Event{Number: 7})
	grown := b.grow(first, 0)
	assert.Equal(t, 64, cap(grown))
	assert.Equal(t, []threadtrace.Event{{Number: 7}}, grown, "what it held")
	assert.Equal(t, 32, b.kept, "the smaller one is free again")
	again := b.get(17)
	assert.Same(t, &first[:1][0], &again[:1][0], "the one given back")
	assert.Empty(t, again)
	b.put(again)
	b.put(grown)
	assert.Equal(t, 96, b.kept)
	b.put(make([]threadtrace.Event, 0, 16))
	assert.Equal(t, 96, b.kept, "there is no room for more")
	b.put(nil)
	assert.Equal(t, 96, b.kept)
}

// TestBuffersAreTrimmed: what nobody needs between two trims goes.
func TestBuffersAreTrimmed(t *testing.T) {
	b := buffers{most: 1000}
	var all [][]threadtrace.Event
	for range 4 {
		all = append(all, b.get(16))
	}
	for _, buf := range all {
		b.put(buf)
	}
	b.trim() // they have just come
	assert.Equal(t, 64, b.kept)
	b.put(b.get(16)) // one is enough
	b.trim()
	assert.Equal(t, 16, b.kept)
	b.trim()
	assert.Zero(t, b.kept)
}
