package page

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/replay"
)

// TestWhatThePageHandsOutIsJudgedAgain: the recording of the last minutes is one that
// replay takes, and says the same.
func TestWhatThePageHandsOutIsJudgedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.bin")
	err := Replay(t.Context(), recorded, "localhost:0", func(h *Host) error {
		services, err := h.Page.(evidence.Board).Sources()[0].Services(t.Context())
		if err != nil {
			return err
		}
		return download(t.Context(), h.Address()+"service/"+services[0].ID+"/records.bin", path)
	})
	if err != nil {
		t.Fatal(err)
	}
	before, after := told(t, recorded), told(t, path)
	if len(before) == 0 || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before:\n%v\nafter:\n%v", before, after)
	}
}

func download(ctx context.Context, address, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, answer.Status)
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, answer.Body)
	return err
}

// told is what a replay of a recording says.
func told(t *testing.T, path string) (said []string) {
	t.Helper()
	_, err := replay.Run(t.Context(), path, replay.Options{Told: func(a agent.Anomaly) {
		said = append(said, fmt.Sprint(a.Seen, a.State, a.Sentence, a.Score))
	}})
	if err != nil {
		t.Fatal(err)
	}
	return said
}
