package store

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// disk has a full disk called SQLITE_FULL, as SQLite's own file layer does. The
// one beneath calls it an I/O error, whose cause is lost once the transaction
// is rolled back.
type disk struct {
	vfs.VFS
	*guard
}

func (d disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	if err != nil {
		return nil, flags, full(err)
	}
	return &diskFile{f, d.guard}, flags, nil
}

// diskFile passes on what the file layer beneath offers beyond vfs.File.
type diskFile struct {
	vfs.File
	*guard
}

func (f *diskFile) ReadAt(b []byte, off int64) (int, error) {
	if f.guard.ended() {
		return 0, sqlite3.INTERRUPT
	}
	return f.File.ReadAt(b, off)
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	return n, full(err)
}

func (f *diskFile) Truncate(size int64) error      { return full(f.File.Truncate(size)) }
func (f *diskFile) Sync(flags vfs.SyncFlag) error  { return full(f.File.Sync(flags)) }
func (f *diskFile) SizeHint(size int64) error      { return full(vfsutil.WrapSizeHint(f.File, size)) }
func (f *diskFile) HasMoved() (bool, error)        { return vfsutil.WrapHasMoved(f.File) }
func (f *diskFile) LockState() vfs.LockLevel       { return vfsutil.WrapLockState(f.File) }
func (f *diskFile) PersistWAL() bool               { return vfsutil.WrapPersistWAL(f.File) }
func (f *diskFile) SetPersistWAL(keep bool)        { vfsutil.WrapSetPersistWAL(f.File, keep) }
func (f *diskFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }
func (f *diskFile) Unwrap() vfs.File               { return f.File }

func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return sqlite3.FULL
	}
	return err
}

// guard ends what reads when its context does. SQLite looks for that between its
// own steps, and a search through frequent words can be a single one.
type guard struct {
	ctx atomic.Pointer[context.Context]
}

// watch has reads fail once ctx has ended, until the function it returns is called.
func (g *guard) watch(ctx context.Context) (stop func()) {
	if g == nil {
		return func() {}
	}
	g.ctx.Store(&ctx)
	return func() { g.ctx.Store(nil) }
}

func (g *guard) ended() bool {
	if g == nil {
		return false
	}
	ctx := g.ctx.Load()
	return ctx != nil && (*ctx).Err() != nil
}
