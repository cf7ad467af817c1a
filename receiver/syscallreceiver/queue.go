package syscallreceiver

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
)

// queue stands between the recording and the next component, so that a slow
// one costs deliveries and never holds up the rings.
type queue struct {
	waiting chan delivery
	next    consumer.Logs
	report  *receiverhelper.ObsReport
	refused func(delivery, error)

	cancel context.CancelFunc
	done   chan struct{}
	// patient is set at shutdown: then an offer waits for room until this
	// context ends.
	patient atomic.Pointer[context.Context]
}

func newQueue(size int, next consumer.Logs, report *receiverhelper.ObsReport, refused func(delivery, error)) *queue {
	return &queue{waiting: make(chan delivery, size), next: next, report: report, refused: refused, done: make(chan struct{})}
}

func (q *queue) start() {
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	go func() {
		defer close(q.done)
		for d := range q.waiting {
			q.consume(ctx, d)
		}
	}()
}

func (q *queue) consume(ctx context.Context, d delivery) {
	records := d.logs.LogRecordCount()
	ctx = q.report.StartLogsOp(ctx)
	err := q.next.ConsumeLogs(ctx, d.logs)
	q.report.EndLogsOp(ctx, "perfscope", records, err)
	if err != nil {
		q.refused(d, err)
	}
}

// offer puts a delivery in the queue; false means there was no room.
func (q *queue) offer(d delivery) bool {
	select {
	case q.waiting <- d:
		return true
	default:
	}
	ctx := q.patient.Load()
	if ctx == nil {
		return false
	}
	select {
	case q.waiting <- d:
		return true
	case <-(*ctx).Done():
		return false
	}
}

func (q *queue) length() int { return len(q.waiting) }

// patience makes offers wait for room, for as long as the context lasts.
func (q *queue) patience(ctx context.Context) { q.patient.Store(&ctx) }

// close delivers what waits, or gives up when the context ends. Nothing may be
// offered any more.
func (q *queue) close(ctx context.Context) {
	close(q.waiting)
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
	}
	q.cancel()
}
