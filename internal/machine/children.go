package machine

import (
	"os"
	"path/filepath"
)

// maxTasks bounds the threads of a process that are read to know what it moved itself.
const maxTasks = 64

// inherit tells what a process had devices move from what its children did that have ended:
// the kernel adds it to theirs, all of it at once, and does not name them. They are taken for
// such as the one of them that moved most and was seen. pid's s is changed.
func (r *Reader) inherit(pid int32, s, was *spent, held map[int32]spent) {
	if s.childFaults == was.childFaults || s.deltaB < leastBytes {
		return // none has ended, or it is no matter
	}
	byChildren := s.deltaB - min(s.deltaB, r.ownBytes(pid))
	if byChildren == 0 {
		return
	}
	s.deltaB -= byChildren
	told, most := int64(0), int64(-1)
	name := func(c *spent) {
		if c.parent == pid && (c.bytes > most || c.bytes == most && c.name < s.child) {
			s.child, most = c.name, c.bytes
		}
	}
	for id, c := range r.others.held {
		if now, lives := held[id]; c.parent == pid && (!lives || now.start != c.start) {
			told += c.bytes
			name(&c)
		}
	}
	if s.child == "" {
		for _, c := range held {
			name(&c)
		}
	}
	s.childB = max(0, byChildren-told)
}

// ownBytes is what the threads of a process had devices move that live.
func (r *Reader) ownBytes(pid int32) (sum int64) {
	dir, err := os.Open(r.of(pid, "task"))
	if err != nil {
		return 0
	}
	tasks, _ := dir.Readdirnames(maxTasks) // what could be read is enough
	_ = dir.Close()
	for _, task := range tasks {
		if data, err := r.read(filepath.Join(r.of(pid, "task"), task, "io")); err == nil {
			sum += ioBytes(data)
		}
	}
	return sum
}
