package evidence

import (
	"context"
	"errors"
)

// ErrUnknown means that there is no such service, or no such anomaly or stretch of it,
// any more.
var ErrUnknown = errors.New("it is not known, or not any more")

// Source has services to show. It is safe for concurrent use, and what it gives is
// copied: the analysis does not wait for who reads it.
type Source interface {
	// Services lists all of them.
	Services(context.Context) ([]Service, error)
	// Detail is what is known of one, by Service.ID; ErrUnknown when there is none.
	Detail(ctx context.Context, id string) (*Detail, error)
}

// Expecter is told that an anomaly was expected. It is safe for concurrent use.
type Expecter interface {
	// Expect makes the state of an anomaly, by its ID, one that is known and not told
	// any more; ErrUnknown when there is none.
	Expect(ctx context.Context, anomaly string) error
}

// Watcher says how watching fares.
type Watcher interface {
	Watch() Watch
}

// Board is where sources are shown: a page.
type Board interface {
	// Show takes part until end is called. Of is a Source, a Watcher or both.
	Show(of any) (end func())
	// URL is where an anomaly of a service can be seen from elsewhere; empty when it
	// cannot. It does not ask the sources.
	URL(service, anomaly string) string
	// Local is the same for who is on this host; empty when there is no page.
	Local(service, anomaly string) string
	// Sources are those that take part.
	Sources() []Source
}
