package perfscopepage

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/perfscope/perfscope/internal/evidence"
)

// maxForm bounds what a client may send, in bytes.
const maxForm = 4 << 10

// expected says of an anomaly that it was expected. It changes what is told, so only
// who is on this host may, and no page from elsewhere may have a browser do it: its
// requests carry another origin.
func (p *page) expected() http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			http.Error(w, "only who is on this host may say that an anomaly was expected; or write its ID into the file of memory::expected_file", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		id := r.PostFormValue("anomaly")
		if id == "" {
			http.Error(w, "the form has no anomaly: its ID is needed", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		switch err := p.expect(ctx, id); {
		case errors.Is(err, evidence.ErrUnknown):
			http.Error(w, "not found: "+err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			http.Redirect(w, r, p.root(r)+"/service/"+url.PathEscape(r.PathValue("id"))+"?anomaly="+url.QueryEscape(id), http.StatusSeeOther)
		}
	}))
}

// expect asks all that take part.
func (p *page) expect(ctx context.Context, id string) error {
	for _, e := range partsOf[evidence.Expecter](p) {
		if err := e.Expect(ctx, id); !errors.Is(err, evidence.ErrUnknown) {
			return err
		}
	}
	return evidence.ErrUnknown
}
