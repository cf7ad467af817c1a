package replay

import (
	"math"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Bursts that are told of in pieces, by two processes, end early.
func TestShorterBursts(t *testing.T) {
	short := shorten([]piece{{200, 240, true}, {20, 30, true}, {10, 20, true}, {10, 30, true}, {100, 104, true}}, 15)
	if want := []piece{{10, 25, true}, {100, 104, true}, {200, 215, true}}; !slices.Equal(short, want) {
		t.Fatalf("%v, want %v", short, want)
	}
	at := among(short)
	for _, tc := range []struct {
		at   int64
		want piece
	}{
		{0, piece{math.MinInt64, 10, false}},
		{10, piece{10, 25, true}},
		{24, piece{10, 25, true}},
		{25, piece{25, 100, false}},
		{150, piece{104, 200, false}},
		{215, piece{215, math.MaxInt64, false}},
	} {
		if got := at(tc.at); got != tc.want {
			t.Errorf("%d is in %v, want %v", tc.at, got, tc.want)
		}
	}
	call := func(from, to int64) threadtrace.Event {
		return threadtrace.Event{Kind: threadtrace.KindCall, Time: from, Duration: to - from}
	}
	got := bursts{at}.events([]threadtrace.Event{
		call(2, 12), call(12, 14), call(20, 28), call(40, 50), {Kind: threadtrace.KindSample, Time: 60}, call(50, 102),
	})
	want := []threadtrace.Event{
		{Kind: threadtrace.KindCall, Time: 10, Duration: 2, Cut: true},
		call(12, 14),
		{Kind: threadtrace.KindInFlight, Time: 20, Duration: 5, Cut: true},
		{Kind: threadtrace.KindSample, Time: 60},
		{Kind: threadtrace.KindCall, Time: 100, Duration: 2, Cut: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
