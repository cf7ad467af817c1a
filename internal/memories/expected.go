package memories

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	// maxExpected bounds the anomalies that a file names, maxLine a line of it in bytes,
	// maxFile the file.
	maxExpected = 1024
	maxLine     = 256
	maxFile     = 1 << 20
)

// ReadExpected reads the IDs of anomalies that were expected: one a line, what comes
// after it and lines that begin with # are for people. A file that is not there names
// none.
func ReadExpected(path string) ([]string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var ids []string
	lines := bufio.NewScanner(io.LimitReader(file, maxFile))
	for lines.Scan() && len(ids) < maxExpected {
		fields := strings.Fields(lines.Text())
		if len(fields) > 0 && !strings.HasPrefix(fields[0], "#") && len(fields[0]) <= maxLine {
			ids = append(ids, fields[0])
		}
	}
	return ids, lines.Err()
}
