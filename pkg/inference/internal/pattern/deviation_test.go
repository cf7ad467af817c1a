package pattern

import (
	"testing"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestTheCallsThatMoveMostAreListed(t *testing.T) {
	nr := func(name string) int32 {
		n, ok := threadtrace.Number("amd64", name)
		if !ok {
			t.Fatal(name)
		}
		return n
	}
	rates := []CallRate{
		{Number: nr("read"), Now: 100, Past: 98},
		{Number: nr("fdatasync"), Now: 300, Past: 1, Mean: 1e6},
		{Number: nr("accept4"), Errno: 24, Now: 200},
		{Number: nr("accept4"), Now: 200, Past: 200},
		{Number: nr("write"), Now: 10, Past: 100},
	}
	got := Deviations("amd64", rates, map[unit.Key]float64{{Number: nr("fdatasync")}: 2e6}, nil)
	if len(got) != 3 || got[0].Call != "accept4" || got[0].Error != "EMFILE" || got[0].Abnormal.ErrorShare != 0.5 {
		t.Fatalf("%+v", got)
	}
	if d := got[1]; d.Call != "fdatasync" || d.Normal.RatePerSecond != 1 || d.Abnormal.MeanSeconds != 0.001 || d.Normal.MeanSeconds != 0.002 {
		t.Errorf("%+v", d)
	}
	var many []CallRate
	for i := range int32(50) {
		many = append(many, CallRate{Number: i, Now: 100})
	}
	if got := Deviations("amd64", many, nil, nil); len(got) != maxDeviations {
		t.Errorf("%d calls are listed", len(got))
	}
}
