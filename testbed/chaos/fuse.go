package chaos

import (
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// hangingFile is a program on a file system that stops to answer.
type hangingFile struct {
	fs.Inode
	data []byte
	hang <-chan struct{} // closed when it begins to hang
	let  <-chan struct{} // closed when it ends
}

func (f *hangingFile) wait() {
	select {
	case <-f.hang:
		<-f.let
	default:
	}
}

func (f *hangingFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.wait()
	out.Mode, out.Size, out.Blocks = 0o755, uint64(len(f.data)), uint64(len(f.data)/512+1)
	return 0
}

func (f *hangingFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f.wait()
	return nil, 0, 0
}

func (f *hangingFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.wait()
	if off >= int64(len(f.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(f.data[off:min(int64(len(f.data)), off+int64(len(dest)))]), 0
}

type hangingRoot struct {
	fs.Inode
	file *hangingFile
}

func (r *hangingRoot) OnAdd(ctx context.Context) {
	r.AddChild("program", r.NewPersistentInode(ctx, r.file, fs.StableAttr{Mode: fuse.S_IFREG}), false)
}

// mountHanging serves a program at DIR/program; hang has it stop to answer, let
// has it answer again and takes it away.
func mountHanging(program, dir string) (hang, let func() error, err error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, nil, err
	}
	begins, ends := make(chan struct{}), make(chan struct{})
	server, err := fs.Mount(dir, &hangingRoot{file: &hangingFile{data: data, hang: begins, let: ends}},
		&fs.Options{MountOptions: fuse.MountOptions{AllowOther: true, DirectMount: true}})
	if err != nil {
		return nil, nil, err
	}
	var once sync.Once
	return func() error { close(begins); return nil }, func() error {
		once.Do(func() { close(ends) })
		if server.Unmount() != nil { // its program may still run
			return syscall.Unmount(dir, syscall.MNT_DETACH)
		}
		return nil
	}, nil
}
