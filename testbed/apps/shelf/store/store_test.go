package store

import (
	"bytes"
	"errors"
	"strconv"
	"testing"
)

func TestDocumentsComeBack(t *testing.T) {
	s, err := Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, framePayload, 5 * framePayload, 40_000} {
		d := &Document{ID: "a", Title: "A", Body: string(bytes.Repeat([]byte("x"), size))}
		if err := s.Put(d); err != nil {
			t.Fatal(err)
		}
		s.cache.drop("a")
		got, err := s.Get("a")
		if err != nil || len(got.Body) != size {
			t.Fatalf("%d bytes came back as %d: %v", size, len(got.Body), err)
		}
	}
	if err := s.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted document: %v", err)
	}
}

func TestAttachmentsComeBack(t *testing.T) {
	s, err := Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, framePayload, framePayload + 1, 100_000} {
		content := bytes.Repeat([]byte{7}, size)
		if err := s.PutAttachment("a", content); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		var announced int64
		if err := s.WriteAttachment(&got, "a", func(size int64) { announced = size }); err != nil {
			t.Fatal(err)
		}
		if announced != int64(size) || !bytes.Equal(got.Bytes(), content) {
			t.Errorf("%d bytes were announced as %d and came as %d", size, announced, got.Len())
		}
	}
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	c := newCache(64 << 10)
	for _, id := range []string{"a", "b"} {
		c.put(&Document{ID: id})
	}
	c.put(&Document{ID: "large", Body: string(make([]byte, 32<<10))})
	if _, ok := c.get("large"); ok {
		t.Error("a document that is half of the cache was kept")
	}
	for i := range 400 { // of 200 bytes and more each
		c.get("a")
		c.put(&Document{ID: strconv.Itoa(i)})
	}
	_, a := c.get("a")
	_, b := c.get("b")
	if !a || b {
		t.Errorf("used: %t, unused: %t", a, b)
	}
}
