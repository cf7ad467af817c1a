package page

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdp "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/report"
)

const recorded = "../replay/testdata/redis-fsync.zst"

// browser is a headless Chromium that takes down what it complains of and whom it asks.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	asked      []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Debian's chromium is not there: ./testbed/install-deps.sh all")
		}
		t.Skip("needs Debian's chromium: ./testbed/install-deps.sh all")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.NoFirstRun, chromedp.WSURLReadTimeout(2*time.Minute))
	for range starts {
		var b *browser
		if b, err = start(t, options); err == nil {
			return b
		}
		t.Log(err)
	}
	t.Fatalf("no browser of %d started", starts)
	return nil
}

// starts is how many times a browser is started before it is given up: a thread of
// Chromium's reads the environment for D-Bus while another changes it, and so a few
// crash in getenv as they start.
const starts = 3

// start starts a browser, which ends with the test.
func start(t *testing.T, options []chromedp.ExecAllocatorOption) (*browser, error) {
	t.Helper()
	// Not of the test's context, which ends before the browser is asked to close.
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(ctx)
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute) // less than the test may take: a loaded machine
	b := &browser{ctx: ctx}
	chromedp.ListenTarget(ctx, b.hear)
	if err := chromedp.Run(ctx, network.Enable(), log.Enable(), runtime.Enable()); err != nil {
		cancel()
		leave()
		end()
		return nil, err
	}
	t.Cleanup(func() {
		// Killed instead, its helper processes would still write to its folder as that is removed.
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		leave()
		end()
	})
	return b, nil
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			b.complaints = append(b.complaints, e.Args[0].Value.String())
		}
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// open opens a file and waits until it is loaded: chromedp's own waiting does not follow a
// change to file:, and looks for a script's world in the page before.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	address := (&url.URL{Scheme: "file", Path: path}).String()
	loaded := make(chan struct{}, 8)
	listening, end := context.WithCancel(b.ctx)
	defer end()
	chromedp.ListenTarget(listening, func(event any) {
		if _, ok := event.(*cdp.EventLoadEventFired); ok {
			select {
			case loaded <- struct{}{}:
			default:
			}
		}
	})
	b.do(t, chromedp.ActionFunc(func(ctx context.Context) error {
		_, _, failed, _, err := cdp.Navigate(address).Do(ctx)
		if err == nil && failed != "" {
			err = errors.New(failed)
		}
		return err
	}))
	for here := ""; here != address; {
		select {
		case <-loaded:
			here = b.text(t, "location.href")
		case <-b.ctx.Done():
			t.Fatal(context.Cause(b.ctx))
		}
	}
}

func (b *browser) text(t *testing.T, script string) (s string) {
	t.Helper()
	b.do(t, chromedp.Evaluate(script, &s))
	return s
}

// screen is how large it is, and whether it is dark.
type screen struct {
	width, height int64
	dark          bool
}

func (b *browser) as(t *testing.T, s screen) {
	t.Helper()
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	b.do(t, chromedp.EmulateViewport(s.width, s.height),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// shoot keeps what is seen, when PERFSCOPE_SCREENSHOTS names where.
func (b *browser) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("PERFSCOPE_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	b.do(t, chromedp.Sleep(300*time.Millisecond), chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// quiet fails when the browser complained, or asked anybody but the host.
func (b *browser) quiet(t *testing.T, address string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		t.Errorf("the browser complains: %s", c)
	}
	home, _ := url.Parse(address)
	for _, a := range b.asked {
		if u, err := url.Parse(a); err != nil || u.Scheme != "data" && u.Scheme != "file" && u.Host != home.Host {
			t.Errorf("%s is asked", a)
		}
	}
	if len(b.asked) == 0 {
		t.Error("nothing was asked at all: the test hears nothing")
	}
}

// forget drops what was asked, for another host.
func (b *browser) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.complaints = nil, nil
}

// accessible runs axe over the page: nothing serious may be found.
func (b *browser) accessible(t *testing.T, where string) {
	t.Helper()
	axe, err := os.ReadFile("../../internal/report/web/node_modules/axe-core/axe.min.js")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("axe-core is not there: npm --prefix internal/report/web ci")
		}
		t.Logf("not checked with axe-core: npm --prefix internal/report/web ci")
		return
	}
	var found string
	b.do(t, chromedp.Evaluate(string(axe)+";0", nil),
		chromedp.Evaluate(`axe.run().then(r => JSON.stringify(r.violations.filter(v => ["serious","critical"].includes(v.impact)).map(v => ({id: v.id, nodes: v.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary)}))))`,
			&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if found != "[]" {
		t.Errorf("%s: axe finds %s", where, found)
	}
}

const (
	first = `document.querySelector("tr.first code")?.textContent ?? ""`
	// shown is whether the first suspect is seen without scrolling.
	shown = `(() => { const r = document.querySelector("tr.first code").getBoundingClientRect(); return String(r.top >= 0 && r.bottom <= innerHeight && r.right <= innerWidth); })()`
)

func TestAPersonFindsTheFunction(t *testing.T) {
	b := newBrowser(t)
	err := Replay(t.Context(), recorded, "localhost:0", func(h *Host) error {
		address := h.Address()
		b.as(t, screen{1280, 800, false})
		b.do(t, chromedp.Navigate(address), chromedp.WaitVisible(".verdict.open"))
		if s := b.text(t, `document.querySelector("h1").textContent`); s != "One service is abnormal" {
			t.Errorf("the first page says %q", s)
		}
		b.accessible(t, "the first page")
		b.shoot(t, "page-overview")

		b.do(t, chromedp.Click(".verdict.open a"), chromedp.WaitVisible("#icicle svg"), chromedp.WaitVisible("#timeline canvas"))
		if s := b.text(t, first); s != "flushAppendOnlyFile" {
			t.Errorf("the first suspect is %q", s)
		}
		if b.text(t, shown) != "true" {
			t.Error("the first suspect is not seen without scrolling")
		}
		b.do(t, chromedp.Poll(`[...document.querySelectorAll(".d3-flame-graph-label")].some(x => x.textContent.includes("flushAppendOnlyFile"))`, nil))
		b.accessible(t, "the page of a service")
		b.shoot(t, "page-service")
		b.do(t, chromedp.Evaluate(`document.getElementById("stacks").scrollIntoView()`, nil))
		b.shoot(t, "page-icicle")
		for _, tab := range []string{"cpu", "wait", "normal"} {
			b.do(t, chromedp.Click("#tab-"+tab), chromedp.WaitVisible(`#tab-`+tab+`[aria-selected=true]`), chromedp.WaitVisible("#icicle svg"))
		}
		b.looks(t)
		b.picks(t)
		b.quiet(t, address)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// looks sees the page dark, and on a phone: nothing may be wider than it.
func (b *browser) looks(t *testing.T) {
	t.Helper()
	for _, s := range []struct {
		name string
		screen
	}{{"dark", screen{1280, 800, true}}, {"phone", screen{390, 844, false}}, {"phone-dark", screen{390, 844, true}}} {
		b.as(t, s.screen)
		b.do(t, chromedp.Reload(), chromedp.WaitVisible("#icicle svg"), chromedp.WaitVisible("#timeline canvas"))
		b.do(t, chromedp.Evaluate("scrollTo(0, 0)", nil))
		b.shoot(t, "page-service-"+s.name)
		b.narrow(t, s.name)
		b.accessible(t, s.name)
	}
	b.as(t, screen{1280, 800, false})
	b.do(t, chromedp.Reload(), chromedp.WaitVisible("#icicle svg"), chromedp.WaitVisible("#timeline canvas"))
}

// picks chooses a stretch before the fault with the mouse.
func (b *browser) picks(t *testing.T) {
	t.Helper()
	var box []float64
	b.do(t, chromedp.Evaluate(`(() => { document.getElementById("timeline").scrollIntoView(); const r = document.querySelector("#timeline .u-over").getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()`, &box))
	x, y := func(part float64) float64 { return box[0] + part*box[2] }, box[1]+box[3]/2
	b.do(t,
		chromedp.MouseEvent("mousePressed", x(0.3), y, chromedp.ButtonLeft), chromedp.MouseEvent("mouseMoved", x(0.4), y, chromedp.ButtonLeft),
		chromedp.MouseEvent("mouseMoved", x(0.5), y, chromedp.ButtonLeft), chromedp.MouseEvent("mouseReleased", x(0.5), y, chromedp.ButtonLeft),
		chromedp.WaitNotPresent("tr.first"), chromedp.WaitVisible("#icicle svg"),
	)
	at := b.text(t, "location.href")
	if !strings.Contains(at, "from=") {
		t.Errorf("a stretch was picked, and the page is %s", at)
	}
	var tree struct {
		Names [][3]any
	}
	if err := json.Unmarshal([]byte(b.text(t, `document.getElementById("tree").textContent`)), &tree); err != nil || len(tree.Names) < 3 {
		t.Errorf("the picked stretch has %d names: %v", len(tree.Names), err)
	}
}

// TestTheFileOpensAnywhere: without a server, and asking nobody.
func TestTheFileOpensAnywhere(t *testing.T) {
	b := newBrowser(t)
	path := filepath.Join(t.TempDir(), "report.html")
	err := Replay(t.Context(), recorded, "localhost:0", func(h *Host) error { return writeReport(t.Context(), h, path) })
	if err != nil {
		t.Fatal(err)
	}
	b.as(t, screen{1280, 800, false})
	b.open(t, path)
	b.do(t, chromedp.Poll(`document.querySelector("#icicle svg") && document.querySelector("#timeline canvas") && true`, nil))
	if s := b.text(t, first); s != "flushAppendOnlyFile" {
		t.Errorf("the first suspect is %q", s)
	}
	if b.text(t, shown) != "true" {
		t.Error("the first suspect is not seen without scrolling")
	}
	b.do(t, chromedp.Poll(`[...document.querySelectorAll(".d3-flame-graph-label")].some(x => x.textContent.includes("flushAppendOnlyFile"))`, nil))
	b.shoot(t, "page-file")
	b.quiet(t, "file:///")
}

func writeReport(ctx context.Context, h *Host, path string) error {
	sources := h.Page.(evidence.Board).Sources()
	if len(sources) == 0 {
		return errors.New("nothing is shown")
	}
	services, err := sources[0].Services(ctx)
	if err != nil {
		return err
	}
	d, err := sources[0].Detail(ctx, services[0].ID)
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	v := report.View{Detail: d, Anomaly: d.Open()}
	v.Stretch, _ = d.Of(v.Anomaly)
	return report.WriteFile(out, &v)
}
