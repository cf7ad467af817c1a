package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
)

var errTooLarge = errors.New("the body is too large")

// readStep is how much is read at a time when a client does not say how much
// it will send.
const readStep = 4 << 10

// readBody reads all of a request's body.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return readUnsized(r.Body, limit)
}

// readUnsized reads to the end.
func readUnsized(r io.Reader, limit int64) ([]byte, error) {
	var body []byte
	for {
		room := make([]byte, len(body)+readStep)
		copy(room, body)
		n, err := io.ReadFull(r, room[len(body):])
		body = room[:len(body)+n]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if int64(len(body)) > limit {
			return nil, errTooLarge
		}
	}
}

func (h *handlers) putAttachment(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	body, err := readBody(r, h.MaxBody)
	if err == nil {
		err = h.Documents.PutAttachment(id, body)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.note(r, "attach", id, len(body))
	sum := sha256.Sum256(body)
	answer(w, http.StatusOK, map[string]any{"id": id, "sha256": hex.EncodeToString(sum[:]), "bytes": len(body)})
}

func (h *handlers) getAttachment(w http.ResponseWriter, r *http.Request) {
	id, err := pathID(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	started := false
	err = h.Documents.WriteAttachment(w, id, func(size int64) {
		started = true
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	})
	switch {
	case err == nil:
		h.note(r, "download", id, 0)
	case started:
		h.Log.Warn("download broken off", "id", id, "error", err)
	default:
		h.refuse(w, err)
	}
}
