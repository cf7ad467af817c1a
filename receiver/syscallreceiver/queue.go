package syscallreceiver

import (
	"context"
	"sync/atomic"
	"time"

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

	cancel  context.CancelFunc
	closing chan struct{}
	done    chan struct{}
	// patient is set at shutdown: then an offer waits for room until this
	// context ends.
	patient atomic.Pointer[context.Context]
}

func newQueue(size int, next consumer.Logs, report *receiverhelper.ObsReport, refused func(delivery, error)) *queue {
	return &queue{waiting: make(chan delivery, size), next: next, report: report, refused: refused,
		closing: make(chan struct{}), done: make(chan struct{})}
}

func (q *queue) start() {
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	go func() {
		defer close(q.done)
		for {
			select {
			case d := <-q.waiting:
				q.consume(ctx, d)
				continue
			case <-q.closing:
			}
			select {
			case d := <-q.waiting:
				q.consume(ctx, d)
			default:
				return
			}
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
	case <-q.closing:
		return false // somebody who hung at shutdown
	default:
	}
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

// close delivers what waits, or gives up when the context ends; it is false
// when the next component does not return even then.
func (q *queue) close(ctx context.Context) bool {
	close(q.closing)
	defer q.cancel()
	select {
	case <-q.done:
		return true
	case <-ctx.Done():
		q.cancel()
	}
	return await(ctx, q.done)
}

// within does something, and is false when it was not done in time; it goes on
// in the background then.
func within(ctx context.Context, what func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		what()
	}()
	return await(ctx, done)
}

// grace is for how long what should end at once is waited for when the time
// for a shutdown is over.
const grace = 250 * time.Millisecond

// await waits until done is closed; false means that it was not in time.
func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-time.After(grace):
		return false
	}
}
