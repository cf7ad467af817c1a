package reportexporter

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/exporter/reportexporter/internal/metadata"
	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/report"
)

const (
	// maxWaiting bounds the reports that wait to be written.
	maxWaiting = 64
	// maxKnown bounds the anomalies that are remembered, for incidents and for what is
	// new of them.
	maxKnown = 256
	// patience is for how long the analysis is asked for its evidence.
	patience = 10 * time.Second
)

// known is what was last reported of an anomaly.
type known struct {
	service evidence.Service
	anomaly evidence.Anomaly
}

// job is a report to write.
type job struct {
	known
	incident *report.Incident
}

// reporter is the exporter. Files are written by one goroutine: the analysis, which is
// asked for its evidence, may be the one that waits for consume.
type reporter struct {
	cfg       *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	console   io.Writer
	files     *files
	board     evidence.Board // nil when there is no page

	mu   sync.Mutex // of the console and of told
	told *lru.Cache[string, known]
	jobs chan job
	done chan struct{}
	// started is set once done will be closed.
	started bool
	end     sync.Once
}

func newReporter(cfg *Config, set component.TelemetrySettings) (*reporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	told, err := lru.New[string, known](maxKnown)
	if err != nil {
		return nil, err
	}
	return &reporter{cfg: cfg, log: set.Logger, telemetry: telemetry, console: os.Stdout, told: told, jobs: make(chan job, maxWaiting), done: make(chan struct{})}, nil
}

func (r *reporter) start(_ context.Context, host component.Host) error {
	for _, e := range host.GetExtensions() {
		if b, ok := e.(evidence.Board); ok {
			r.board = b
		}
	}
	if r.cfg.Directory != "" {
		var err error
		if r.files, err = newFiles(r.cfg.Directory, r.cfg.MaxFiles); err != nil {
			return err
		}
	}
	r.started = true
	go r.write()
	return nil
}

// shutdown writes what waits.
func (r *reporter) shutdown(ctx context.Context) error {
	defer r.telemetry.Shutdown()
	if !r.started {
		return nil
	}
	r.end.Do(func() { close(r.jobs) })
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// consume tells the anomalies and incidents among the records.
func (r *reporter) consume(_ context.Context, ld plog.Logs) error {
	for _, rl := range ld.ResourceLogs().All() {
		s := serviceOf(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				switch rec.EventName() {
				case eventAnomaly:
					r.anomaly(s, rec)
				case eventIncident:
					r.incident(rec)
				case eventRelease:
					r.line(rec, "RELEASE")
				case eventTail:
					r.line(rec, "SLOW   ")
				}
			}
		}
	}
	return nil
}

// anomaly tells one. A repeat that says nothing new is for a gateway only.
func (r *reporter) anomaly(s evidence.Service, rec plog.LogRecord) {
	if v, ok := rec.Attributes().Get("perfscope.anomaly.repeat"); ok && v.AsString() == "true" {
		return
	}
	now := known{s, anomalyOf(rec)}
	s.Anomalies = []evidence.Anomaly{now.anomaly}
	now.service.Anomalies = s.Anomalies
	r.mu.Lock()
	before, again := r.told.Get(now.anomaly.ID)
	r.told.Add(now.anomaly.ID, now)
	if r.cfg.Console {
		r.tell(&now, &before, again)
	}
	r.mu.Unlock()
	r.enqueue(job{known: now})
}

// tell writes to the console what is new.
func (r *reporter) tell(now, before *known, again bool) {
	var err error
	switch {
	case !now.anomaly.Ongoing():
		err = report.WriteLine(r.console, &now.service, &now.anomaly)
	case !again:
		err = report.WriteText(r.console, &now.service, &now.anomaly, r.where(now)...)
	case first(&now.anomaly) != first(&before.anomaly):
		err = report.WriteLine(r.console, &now.service, &now.anomaly)
	}
	if err != nil {
		r.log.Debug("The console takes nothing.", zap.Error(err))
	}
}

func first(a *evidence.Anomaly) string {
	if len(a.Suspects) == 0 {
		return ""
	}
	return a.Suspects[0].Function
}

// where are the places at which there is more of an anomaly.
func (r *reporter) where(k *known) (list []string) {
	if r.board != nil {
		if at := r.board.Local(k.service.ID, k.anomaly.ID); at != "" {
			list = append(list, at)
		}
	}
	if r.files != nil {
		list = append(list, r.files.path(k.anomaly.ID))
	}
	return list
}

// incident tells what a gateway says of several services.
func (r *reporter) incident(rec plog.LogRecord) {
	in := incidentOf(rec)
	j := job{incident: &in, known: known{
		service: evidence.Service{ID: "incident", Name: "incident", State: evidence.Judged},
		anomaly: evidence.Anomaly{ID: in.ID, State: in.State, Sentence: in.Sentence, Onset: in.Start, End: in.End},
	}}
	r.mu.Lock()
	for i := range in.Causes {
		if k, ok := r.told.Get(in.Causes[i].Anomaly); ok && i == 0 {
			j.service = k.service
			id, state, onset, end := j.anomaly.ID, j.anomaly.State, j.anomaly.Onset, j.anomaly.End
			j.anomaly = k.anomaly
			j.anomaly.ID, j.anomaly.State, j.anomaly.Onset, j.anomaly.End = id, state, onset, end
			j.anomaly.Sentence = in.Sentence
		}
	}
	r.mu.Unlock()
	r.enqueue(j)
}

// line tells on the console what a record says in one sentence: what a release changed,
// or why some requests are slow.
func (r *reporter) line(rec plog.LogRecord, what string) {
	if !r.cfg.Console {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := report.WriteSentence(r.console, rec.Timestamp().AsTime(), what, cleantext.Clean(rec.Body().AsString(), cleantext.MaxPath)); err != nil {
		r.log.Debug("The console takes nothing.", zap.Error(err))
	}
}

func (r *reporter) enqueue(j job) {
	if r.files == nil || j.anomaly.ID == "" {
		return
	}
	select {
	case r.jobs <- j:
	default:
		r.leftOut("queue")
	}
}

func (r *reporter) leftOut(why string) {
	r.telemetry.ExporterReportLeftOut.Add(context.Background(), 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", why))))
}

func (r *reporter) write() {
	defer close(r.done)
	for j := range r.jobs {
		data, err := r.render(&j)
		switch {
		case err != nil:
			r.leftOut("failed")
			r.log.Error("A report could not be made.", zap.Error(err))
		case len(data) > r.cfg.MaxBytes:
			r.leftOut("size")
		default:
			removed, err := r.files.write(j.anomaly.ID, data)
			r.telemetry.ExporterReportRemoved.Add(context.Background(), int64(removed))
			if err != nil {
				r.leftOut("failed")
				r.log.Error("A report could not be written.", zap.Error(err))
				continue
			}
			r.telemetry.ExporterReportFiles.Add(context.Background(), 1)
		}
	}
}

// render makes the file of a report: with all the evidence there is, or, when that is
// too much, what the record says.
func (r *reporter) render(j *job) ([]byte, error) {
	v := r.view(j)
	var out bytes.Buffer
	if err := report.WriteFile(&out, v); err != nil || out.Len() <= r.cfg.MaxBytes {
		return out.Bytes(), err
	}
	out.Reset()
	err := report.WriteFile(&out, bare(j))
	return out.Bytes(), err
}

// bare is what the record says alone.
func bare(j *job) *report.View {
	a := j.anomaly
	return &report.View{Detail: evidence.NewDetail(j.service, nil, nil), Anomaly: &a, Incident: j.incident}
}

// view asks the analysis, if it is on this host.
func (r *reporter) view(j *job) *report.View {
	v := bare(j)
	if r.board == nil || j.incident != nil {
		return v
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, s := range r.board.Sources() {
		d, err := s.Detail(ctx, j.service.ID)
		if err != nil {
			continue
		}
		if a, ok := d.Anomaly(j.anomaly.ID); ok {
			v.Detail, v.Anomaly = d, a
			v.Stretch, _ = d.Of(a)
			break
		}
	}
	return v
}
