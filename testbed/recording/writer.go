package recording

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Writer writes a recording that is compressed as a whole, which makes it a
// few times smaller than what the collector writes. Close it.
type Writer struct{ out *zstd.Encoder }

// NewWriter makes a Writer.
func NewWriter(w io.Writer) (*Writer, error) {
	out, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	return &Writer{out: out}, err
}

// Write appends one message.
func (w *Writer) Write(ld plog.Logs) error {
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		return err
	}
	_, err = w.out.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}

// Close writes what is held back.
func (w *Writer) Close() error { return w.out.Close() }
