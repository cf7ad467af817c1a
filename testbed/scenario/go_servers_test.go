package scenario

import (
	"os"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
)

func init() {
	addCheck("shelf-journal", burns(0.4))
	addCheck("shelf-catalog", slow(2))
	addCheck("shelf-frames", burns(0.04))
	addCheck("shelf-ratings", nil) // known ratings last longer than a look
	addCheck("shelf-uploads", burns(0.07))
	addCheck("nats-subscriptions", burns(0.07))
	addCheck("statsd-ids", burns(0.07))
	addCheck("shelf-titles", burns(0.05))
}

// A service that fails must cost connections.
func TestShelfRatingsConnect(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, like the scenarios")
	}
	upstream, err := startRatings()
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.stop()
	s, err := startShelf(t.Context(), "-ratings", upstream.url, "-ratings-for", "2s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	l := load.Start(t.Context(), s.load())
	defer l.Stop()
	time.Sleep(time.Second)
	normal := upstream.connections.Load()
	upstream.broken.Store(true)
	time.Sleep(4 * time.Second)
	if made := upstream.connections.Load() - normal; made < 500 || normal > 50 {
		t.Errorf("%d connections in normal life, %d more while the service failed", normal, made)
	}
}
