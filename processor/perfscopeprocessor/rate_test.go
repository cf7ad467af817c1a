package perfscopeprocessor

import (
	"math"
	"testing"
)

func TestRates(t *testing.T) {
	for text, want := range map[Rate]float64{
		"1/30d": 1.0 / 30, "1/d": 1, "2/12h": 4, "1/h": 24, " 1/7d": 1.0 / 7, "1/1.5d": 1 / 1.5,
	} {
		if got, err := text.perDay(); err != nil || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v a day, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []Rate{"", "1", "1/", "/d", "0/d", "-1/d", "1/-1d", "NaN/d", "1/NaNd", "1/0d", "1/4000d", "1/m", "1/30 d", "Inf/d"} {
		if got, err := text.perDay(); err == nil {
			t.Errorf("%q is taken as %v a day", text, got)
		}
	}
}
