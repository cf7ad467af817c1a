package load

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

type fake struct {
	took time.Duration
	err  error
}

func (f fake) Request(*rand.Rand) error { time.Sleep(f.took); return f.err }
func (fake) Close() error               { return nil }

func TestLoadKeepsToItsRate(t *testing.T) {
	l := Start(t.Context(), Config{Dial: func() (Client, error) { return fake{}, nil }, Workers: 4, Rate: 200})
	time.Sleep(time.Second)
	l.Stop()
	f := l.Take()
	if f.Requests < 100 || f.Requests > 240 {
		t.Errorf("%d requests in a second at 200 per second", f.Requests)
	}
	if f.Failures != 0 {
		t.Errorf("%d failures: %v", f.Failures, f.LastError)
	}
}

func TestLoadCountsFailuresAndEnds(t *testing.T) {
	broken := errors.New("broken")
	l := Start(t.Context(), Config{Dial: func() (Client, error) { return fake{err: broken}, nil }, Workers: 2, Rate: 1000})
	time.Sleep(300 * time.Millisecond)
	l.Stop()
	f := l.Take()
	if f.Failures < 2 || f.Requests != 0 || !errors.Is(f.LastError, broken) {
		t.Errorf("got %+v", f)
	}
}

// TestAnotherRateIsTakenUpAtOnce holds a load to a pause and to its end.
func TestAnotherRateIsTakenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Start(t.Context(), Config{Dial: func() (Client, error) { return fake{}, nil }, Workers: 4, Rate: 100})
		defer l.Stop()
		time.Sleep(10 * time.Second)
		l.SetRate(0)
		l.Take()
		time.Sleep(10 * time.Minute)
		if f := l.Take(); f.Requests > 4 {
			t.Errorf("%d requests in a pause", f.Requests)
		}
		l.SetRate(100)
		time.Sleep(10 * time.Second)
		if f := l.Take(); f.Requests < 900 || f.Requests > 1100 {
			t.Errorf("%d requests in 10 s after it, not 1000", f.Requests)
		}
	})
}
