package memories

import (
	"context"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// held is a storage that lasts as long as the process.
type held map[string][]byte

func (h held) Get(_ context.Context, key string) ([]byte, error) { return h[key], nil }
func (h held) Set(_ context.Context, key string, value []byte) error {
	h[key] = value
	return nil
}

func (h held) Delete(_ context.Context, key string) error {
	delete(h, key)
	return nil
}

func (h held) Batch(_ context.Context, operations ...*storage.Operation) error {
	for _, o := range operations {
		switch o.Type {
		case storage.Set:
			h[o.Key] = o.Value
		case storage.Delete:
			delete(h, o.Key)
		case storage.Get:
			o.Value = h[o.Key]
		}
	}
	return nil
}

func (h held) Close(context.Context) error { return nil }
