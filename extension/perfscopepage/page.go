package perfscopepage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/evidence"
)

// Bounds of what a client may take.
const (
	readTimeout   = 10 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	maxRendering  = 4
	askTimeout    = 5 * time.Second
	shutdownGrace = 2 * time.Second
)

// page is the extension. It is an evidence.Board.
type page struct {
	cfg *Config
	set component.TelemetrySettings

	mu     sync.Mutex
	parts  []*part
	local  string // of the listener, empty while there is none
	server *http.Server
	done   chan struct{}
	// rendering has room for those that are rendered at once.
	rendering chan struct{}
}

// part is what takes part, in the order of coming.
type part struct{ of any }

func newPage(cfg *Config, set component.TelemetrySettings) *page {
	return &page{cfg: cfg, set: set, rendering: make(chan struct{}, maxRendering)}
}

// Show takes a source, a watcher, or both in one.
func (p *page) Show(of any) (end func()) {
	added := &part{of}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts = append(p.parts, added)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.parts = slices.DeleteFunc(slices.Clone(p.parts), func(x *part) bool { return x == added })
	}
}

// Sources are those that take part.
func (p *page) Sources() []evidence.Source { return partsOf[evidence.Source](p) }

func partsOf[T any](p *page) (list []T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.parts {
		if t, ok := x.of.(T); ok {
			list = append(list, t)
		}
	}
	return list
}

// URL is where an anomaly can be seen from elsewhere.
func (p *page) URL(service, anomaly string) string {
	if p.cfg.ExternalURL == "" {
		return ""
	}
	return address(p.cfg.ExternalURL, service, anomaly)
}

// Local is where it can be seen from this host.
func (p *page) Local(service, anomaly string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.local == "" {
		return ""
	}
	return address("http://"+p.local, service, anomaly)
}

func address(base, service, anomaly string) string {
	return strings.TrimSuffix(base, "/") + "/service/" + url.PathEscape(service) + "?anomaly=" + url.QueryEscape(anomaly)
}

// Start opens the listener: a port that is taken is an error here.
func (p *page) Start(ctx context.Context, host component.Host) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", p.cfg.Endpoint)
	if err != nil {
		return fmt.Errorf("the page cannot be served at %s: %w; choose another endpoint (PERFSCOPE_PAGE_ENDPOINT, with the shipped configurations), or leave perfscope_page out of service::extensions", p.cfg.Endpoint, err)
	}
	p.server = &http.Server{
		Handler: p.handler(), ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(p.set.Logger),
	}
	p.done = make(chan struct{})
	p.mu.Lock()
	p.local = p.localAddress(listener.Addr())
	p.mu.Unlock()
	p.set.Logger.Info("The page is served.", zap.String("address", "http://"+p.local+"/"))
	go func() {
		defer close(p.done)
		if err := p.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(fmt.Errorf("the page is not served any more: %w", err)))
		}
	}()
	return nil
}

// localAddress is the endpoint with the port that was given.
func (p *page) localAddress(at net.Addr) string {
	host, _, _ := net.SplitHostPort(p.cfg.Endpoint) // validated
	_, port, err := net.SplitHostPort(at.String())
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if err != nil {
		return at.String()
	}
	return net.JoinHostPort(host, port)
}

// Shutdown ends what is being served, and waits for it a little.
func (p *page) Shutdown(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		_ = p.server.Close()
	}
	<-p.done
	p.server = nil
	return nil
}
