package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/report"
	"github.com/perfscope/perfscope/testbed/page"
)

// shown is how what was found is to be seen beside the text.
type shown struct{ html, serve string }

// start has the page served, on any port when nobody asked for it.
func (s shown) start(ctx context.Context) (*page.Host, error) {
	endpoint := s.serve
	if endpoint == "" {
		endpoint = "localhost:0"
	}
	return page.NewHost(ctx, endpoint)
}

// write writes a file of each anomaly, the newest first, and waits while the page is
// looked at.
func (s shown) write(ctx context.Context, h *page.Host) error {
	if s.html != "" {
		if err := s.files(ctx, h); err != nil {
			return err
		}
	}
	if s.serve != "" {
		fmt.Printf("the page: %s (end it with Ctrl-C)\n", h.Address())
		<-ctx.Done()
	}
	return nil
}

func (s shown) files(ctx context.Context, h *page.Host) error {
	n := 0
	for _, source := range h.Page.(evidence.Board).Sources() {
		services, err := source.Services(ctx)
		if err != nil {
			return err
		}
		for i := range services {
			d, err := source.Detail(ctx, services[i].ID)
			if err != nil {
				return err
			}
			for j := range d.Anomalies {
				n++
				if err := s.file(n, d, &d.Anomalies[j]); err != nil {
					return err
				}
			}
		}
	}
	if n == 0 {
		fmt.Println("no anomaly: no file was written")
	}
	return nil
}

func (s shown) file(n int, d *evidence.Detail, a *evidence.Anomaly) (err error) {
	path := s.html
	if n > 1 {
		ext := filepath.Ext(path)
		path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), n, ext)
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	v := report.View{Detail: d, Anomaly: a}
	v.Stretch, _ = d.Of(a)
	err = report.WriteFile(out, &v)
	if closed := out.Close(); err == nil {
		err = closed
	}
	fmt.Printf("written: %s\n", path)
	return err
}
