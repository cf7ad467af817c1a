package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// dispatch is the testbed's own Node server (testbed/apps/dispatch) with its
// peers: a carriers' rate service, and a log shipper that reads its audit
// trail from a pipe.
type dispatch struct {
	*server.Server
	carrier *http.Server
	shipper *shipper
}

const dispatchParcels = 20_000

func startDispatch(ctx context.Context) (*dispatch, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &dispatch{carrier: &http.Server{Handler: http.HandlerFunc(serveRates)}}
	go func() { _ = d.carrier.Serve(listener) }()
	if d.shipper, err = startShipper(); err != nil {
		return nil, errors.Join(err, d.carrier.Close())
	}
	d.Server, err = server.StartNode(ctx, "dispatch",
		"--carrier", "http://"+listener.Addr().String(), "--audit-pipe", d.shipper.path,
		"--capacity", fmt.Sprint(dispatchParcels), "--seed", fmt.Sprint(dispatchParcels))
	if err != nil {
		d.shipper.stop()
		return nil, errors.Join(err, d.carrier.Close())
	}
	return d, nil
}

// workload is the server in normal life; fault may be turned on later.
func (d *dispatch) workload(fault func(ctx context.Context) (func(), error)) Workload {
	return Workload{
		Server: d.Server,
		Load:   d.load(),
		Fault:  fault,
		Stop: func() {
			d.shipper.stop()
			d.carrier.Close()
			server.RemovePerfMap(d.Server)
		},
	}
}

// serveRates answers as the carriers do, a few milliseconds later.
func serveRates(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(time.Duration(2+rand.IntN(5)) * time.Millisecond)
	fmt.Fprintf(w, `[{"carrier":"north","cents":%d,"days":2},{"carrier":"express","cents":%d,"days":1},{"carrier":"post","cents":%d,"days":3}]`,
		400+rand.IntN(50), 900+rand.IntN(50), 350+rand.IntN(50))
}

// shipper reads the audit trail.
type shipper struct {
	path  string
	dir   string
	pipe  *os.File
	pause chan time.Duration
	done  chan struct{}
}

// shipperPipe is the room in the pipe, bytes.
const shipperPipe = 16 << 10

func startShipper() (*shipper, error) {
	dir, err := os.MkdirTemp("/var/tmp", "perfscope-shipper-")
	if err != nil {
		return nil, err
	}
	s := &shipper{dir: dir, path: filepath.Join(dir, "audit"), pause: make(chan time.Duration), done: make(chan struct{})}
	fail := func(err error) (*shipper, error) { return nil, errors.Join(err, os.RemoveAll(dir)) }
	if err := syscall.Mkfifo(s.path, 0o600); err != nil {
		return fail(err)
	}
	if s.pipe, err = os.OpenFile(s.path, os.O_RDWR, 0); err != nil {
		return fail(err)
	}
	if _, err := unix.FcntlInt(s.pipe.Fd(), unix.F_SETPIPE_SZ, shipperPipe); err != nil {
		return fail(errors.Join(err, s.pipe.Close()))
	}
	// Fd has made it blocking: only reads with data behind them are made.
	go s.run()
	return s, nil
}

// run empties the pipe again and again, with a pause between.
func (s *shipper) run() {
	defer close(s.done)
	pause := 20 * time.Millisecond
	buffer := make([]byte, shipperPipe)
	for {
		select {
		case p, ok := <-s.pause:
			if !ok {
				return
			}
			pause = p
		case <-time.After(pause):
		}
		if n, err := unix.IoctlGetInt(int(s.pipe.Fd()), unix.TIOCINQ); err == nil && n > 0 {
			_, _ = s.pipe.Read(buffer)
		}
	}
}

// slow makes the shipper come back to the pipe every so often only.
func (s *shipper) slow(pause time.Duration) { s.pause <- pause }

func (s *shipper) stop() {
	close(s.pause)
	<-s.done
	s.pipe.Close()
	os.RemoveAll(s.dir)
}

// load is a day in a depot: parcels looked up, announced and scanned, labels,
// quotes, searches, small manifests, signatures, and what is not found.
func (d *dispatch) load() load.Config {
	return httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
		// The oldest leave the store while new ones come.
		id := fmt.Sprintf("p%d", dispatchParcels/2+r.IntN(dispatchParcels/2))
		base := "http://" + d.Addr
		switch n := r.IntN(100); {
		case n < 38:
			return http.NewRequest(http.MethodGet, base+"/parcels/"+id, nil)
		case n < 48:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/parcels?customer=c%d", base, r.IntN(400)), nil)
		case n < 60:
			return postJSON(base+"/parcels", map[string]any{
				"customer": fmt.Sprintf("c%d", r.IntN(400)), "grams": 100 + r.IntN(5000),
				"address": map[string]any{"name": fmt.Sprintf("Receiver %d", r.IntN(5000)), "street": "Street 1", "city": "Ghent"},
			})
		case n < 72:
			return postJSON(base+"/parcels/"+id+"/scans", map[string]any{"depot": "d7", "status": dispatchStatus(r)})
		case n < 75:
			scans := make([]map[string]any, 5+r.IntN(30))
			for i := range scans {
				scans[i] = map[string]any{"id": fmt.Sprintf("p%d", dispatchParcels/2+r.IntN(dispatchParcels/2)), "status": dispatchStatus(r)}
			}
			return postJSON(base+"/scans", map[string]any{"depot": "d8", "scans": scans})
		case n < 81:
			return http.NewRequest(http.MethodGet, base+"/parcels/"+id+"/label", nil)
		case n < 88:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/quotes?from=GNE&to=BRE&grams=%d", base, 100+r.IntN(20_000)), nil)
		case n < 93:
			return http.NewRequest(http.MethodGet, fmt.Sprintf("%s/search?q=receiver+%d", base, r.IntN(5000)), nil)
		case n < 95:
			return postJSON(base+"/manifests", dispatchManifest(r, 20+r.IntN(60)))
		case n < 97:
			return http.NewRequest(http.MethodPut, base+"/parcels/"+id+"/proof", bytes.NewReader(make([]byte, 4096+r.IntN(60<<10))))
		case n < 98:
			return http.NewRequest(http.MethodGet, base+"/report", nil)
		case n < 99:
			return http.NewRequest(http.MethodGet, base+"/metrics", nil)
		default:
			return http.NewRequest(http.MethodGet, base+"/parcels/q"+id, nil)
		}
	})
}

func dispatchStatus(r *rand.Rand) string {
	return []string{"collected", "sorted", "loaded", "out", "delivered"}[r.IntN(5)]
}

// dispatchManifest announces so many parcels; one reference in fifty comes
// twice.
func dispatchManifest(r *rand.Rand, lines int) any {
	type line struct {
		Ref      string `json:"ref"`
		Grams    int    `json:"grams"`
		Postcode string `json:"postcode"`
	}
	all := make([]line, lines)
	run := r.IntN(1 << 30)
	for i := range all {
		number := i
		if i%50 == 49 {
			number--
		}
		all[i] = line{fmt.Sprintf("SH-%09d-%06d", run, number), 100 + r.IntN(5000), fmt.Sprintf("%05d", r.IntN(100_000))}
	}
	return map[string]any{"shipper": "s1", "lines": all}
}

// repeat calls do at an interval until the returned function is called; a call
// that takes longer delays the next.
func repeat(ctx context.Context, every time.Duration, do func(ctx context.Context)) func() {
	ctx, stop := context.WithCancel(ctx)
	var doing sync.WaitGroup
	doing.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			do(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return func() {
		stop()
		doing.Wait()
	}
}

// send makes a request and takes the answer, whatever it is.
func send(ctx context.Context, c *http.Client, request *http.Request) error {
	response, err := c.Do(request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return err
}
