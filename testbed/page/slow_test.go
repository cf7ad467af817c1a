package page

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/evidence/evidencetest"
)

// shop is a source with all that a page may have to show at once.
type shop struct{ detail *evidence.Detail }

func (s shop) Services(context.Context) ([]evidence.Service, error) {
	quiet := evidence.Service{ID: "cart-1", Name: "cart", Host: "web-3", PID: 812, State: evidence.Learning, Hops: s.detail.Hops[:3]}
	blind := evidence.Service{ID: "report-1", Name: "report", Host: "web-3", PID: 99, State: evidence.Blind, Why: "hardly any of its functions have names"}
	return []evidence.Service{quiet, blind, s.detail.Service}, nil
}

func (s shop) Detail(_ context.Context, id string) (*evidence.Detail, error) {
	if id != s.detail.ID {
		return nil, evidence.ErrUnknown
	}
	return s.detail, nil
}

func (shop) Watch() evidence.Watch {
	return evidence.Watch{Mode: "burst", Budget: 0.01, Cost: 0.006, Traced: 0.42, Rules: []evidence.Rule{
		{Text: "executable: redis-server", Matches: 2}, {Text: "executable: memcached"}, {Text: `otel_service_name: "*"`, Matches: 3},
	}}
}

func newShop(t *testing.T, abnormal bool) shop {
	t.Helper()
	d := evidencetest.Slow(t, 60, 400, plain)
	d.ID, d.Name, d.Host, d.PID, d.Executable = "shop-1", "shop", "web-3", 4711, "shop"
	for i := range d.Hops {
		h := &d.Hops[i]
		h.Spans, h.Median, h.P95 = 400, 0.004+0.0005*math.Sin(float64(i)/3), 0.05+0.01*math.Sin(float64(i)/2)
	}
	at := d.Hops[len(d.Hops)-1].End()
	slow := func(kind, function string, n int) evidence.SlowKind {
		k := evidence.SlowKind{
			Kind: kind, Spans: true, At: at, Requests: 812, Slow: 25, Share: 0.031, Threshold: 0.018, FastMean: 0.004, SlowMean: 0.052,
			Explained: 0.92, Difference: "another_path", Pattern: "long_computation",
			Sentence: "shop: 3.1 % of " + kind + " take 52 ms instead of 4 ms: " + function + " (shop) computes without making calls; 92 % of the extra time is explained.",
			Path:     []string{"connection", "answer", function},
		}
		for i := range n {
			k.Functions = append(k.Functions, evidence.SlowFunction{
				Suspect: evidence.Suspect{Function: strings.Repeat("caller_of_", i) + function, Module: "shop", File: "src/shop/ways.c", Line: 71, Score: 0.9 / float64(i+1), Evidence: []string{"on_cpu", "blocked"}},
				InSlow:  0.048 - 0.01*float64(i), InFast: 0.0002,
			})
		}
		for i := range 3 {
			k.Examples = append(k.Examples, evidence.Span{Trace: fmt.Sprintf("%032x", i+1), ID: fmt.Sprintf("%016x", i+1), Name: kind, At: at.Add(-time.Duration(i) * time.Second), Seconds: 0.05})
		}
		return k
	}
	unexplained := slow("POST /checkout/{id}", "", 0)
	unexplained.Difference, unexplained.Explained, unexplained.Path = "unexplained", 0.04, nil
	unexplained.Sentence = "shop: 3.1 % of POST /checkout/{id} take 52 ms instead of 4 ms: nothing seen in the process tells them from the fast ones."
	d.SlowRequests = []evidence.SlowKind{slow("GET /ticket/{id}", "match_rule", 3), unexplained, slow("GET /search", "sort_by_price", 1)}
	for i := range 6 {
		d.Spans = append(d.Spans, evidence.Span{Trace: fmt.Sprintf("%032x", i+1), ID: fmt.Sprintf("%016x", i+1), Name: "GET /ticket/{id}", At: at, Seconds: 0.1, Abnormal: i < 3})
	}
	d.Marks = []evidence.Mark{{At: at.Add(-200 * time.Second), Text: "learned: judged from now on"}, {At: at.Add(-90 * time.Second), Text: "another build"}}
	a := &d.Anomalies[0]
	a.Causes = []evidence.Cause{{Kind: "code", Share: 0.7}, {Kind: "cpu_quota", Share: 0.3, Resource: "/system.slice/shop.service", Users: []string{"shop", "backup"}}}
	a.Pattern, a.Seen, a.FirstSeen = "long_computation", 3, at.Add(-49*time.Hour)
	if !abnormal {
		a.State, a.Ending = "cleared", "recovered"
	}
	return shop{d}
}

func plain(i int) string { return fmt.Sprintf("work_%d", i) }

// TestSlowRequestsAreSeen on the first page and on that of the service: each kind with
// the function, on a desk and on a phone, while the service is as ever and while it is not.
func TestSlowRequestsAreSeen(t *testing.T) {
	b := newBrowser(t)
	for _, abnormal := range []bool{false, true} {
		h, err := NewHost(t.Context(), "localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		h.Page.(evidence.Board).Show(newShop(t, abnormal))
		name := map[bool]string{false: "slow", true: "abnormal"}[abnormal]
		for _, s := range []struct {
			name string
			screen
		}{{"", screen{1280, 800, false}}, {"-dark", screen{1280, 800, true}}, {"-phone", screen{390, 844, false}}} {
			b.as(t, s.screen)
			b.do(t, chromedp.Navigate(h.Address()), chromedp.WaitVisible(`a[href$="#slow"]`))
			b.narrow(t, "the first page"+s.name)
			b.shoot(t, "all-"+name+s.name)
			b.do(t, chromedp.Navigate(h.Address()+"service/shop-1"), chromedp.WaitVisible("#slow"), chromedp.WaitVisible("#icicle svg"))
			if got := b.text(t, `document.querySelector("details.kind[open] tr.leads code").textContent`); got != "match_rule" {
				t.Errorf("%s: the first function of slow requests is %q", name, got)
			}
			if got := b.text(t, `String(document.querySelectorAll("details.kind").length)`); got != "3" {
				t.Errorf("%s: %s kinds are shown, not 3", name, got)
			}
			if got := b.text(t, `document.querySelector("details.kind a[href*='16686']").href`); !strings.Contains(got, "00000001?uiFind=0000000000000001") {
				t.Errorf("%s: a slow span is linked to %s", name, got)
			}
			b.narrow(t, "the service"+s.name)
			b.accessible(t, name+s.name)
			b.shoot(t, "service-"+name+s.name)
			b.do(t, chromedp.Evaluate(`document.getElementById("slow").scrollIntoView()`, nil))
			b.shoot(t, "slow-"+name+s.name)
			b.do(t, chromedp.Evaluate(`document.getElementById("more").scrollIntoView({block: "end"})`, nil))
			b.shoot(t, "end-"+name+s.name)
		}
		b.quiet(t, h.Address())
		b.forget()
		if err := h.Page.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// narrow fails when a page is wider than the screen.
func (b *browser) narrow(t *testing.T, where string) {
	t.Helper()
	if wide := b.text(t, `String(document.documentElement.scrollWidth - innerWidth)`); wide != "0" {
		t.Errorf("%s: the page is %s pixels wider than the screen", where, wide)
	}
}
