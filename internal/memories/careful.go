package memories

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

var errDefect = errors.New("the storage is damaged")

// guarded turns a panic into an error: that is how a database tells of a damaged page,
// and how Go tells of one that is mapped and not there any more.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDefect, r)
		}
	}()
	return do()
}

// careful is a client that does not panic.
type careful struct{ of storage.Client }

func (c careful) Get(ctx context.Context, key string) (value []byte, err error) {
	err = guarded(func() (err error) { value, err = c.of.Get(ctx, key); return err })
	return value, err
}

func (c careful) Set(ctx context.Context, key string, value []byte) error {
	return guarded(func() error { return c.of.Set(ctx, key, value) })
}

func (c careful) Delete(ctx context.Context, key string) error {
	return guarded(func() error { return c.of.Delete(ctx, key) })
}

func (c careful) Batch(ctx context.Context, operations ...*storage.Operation) error {
	return guarded(func() error { return c.of.Batch(ctx, operations...) })
}

func (c careful) Close(ctx context.Context) error {
	return guarded(func() error { return c.of.Close(ctx) })
}
