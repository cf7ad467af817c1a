package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
)

// stays is for how long the page stays there when somebody sits at a terminal.
const stays = 10 * time.Minute

// look says where there is something to look at, keeps the pair of profiles, and leaves
// the page there for a while.
func look(ctx context.Context, a *agent.Agent, out string) error {
	page := strings.TrimSuffix(a.Page(), "/")
	if page == "" {
		return fmt.Errorf("the collector serves no page; see %s", a.Log)
	}
	var known struct {
		Services []struct{ ID, Name string }
	}
	if err := get(ctx, page+"/api/overview", func(r io.Reader) error { return json.NewDecoder(r).Decode(&known) }); err != nil {
		return err
	}
	for _, s := range known.Services {
		if s.Name != "redis" {
			continue
		}
		for _, name := range []string{"normal.pb.gz", "abnormal.pb.gz"} {
			if err := get(ctx, page+"/service/"+s.ID+"/"+name, func(r io.Reader) error { return save(filepath.Join(out, name), r) }); err != nil {
				return err
			}
		}
	}
	reports, err := filepath.Glob(filepath.Join(out, "reports", "*.html"))
	if err != nil {
		return err
	}
	fmt.Println()
	for _, r := range reports {
		fmt.Printf("Report: %s\n", r)
	}
	fmt.Printf("Profiles: go tool pprof -top -diff_base %s %s\n", filepath.Join(out, "normal.pb.gz"), filepath.Join(out, "abnormal.pb.gz"))
	if !attended() {
		fmt.Printf("Page: %s/ (it ends with the demo; at a terminal it stays)\n", page)
		return nil
	}
	fmt.Printf("Page: %s/ for %s, or until you press Enter\n", page, stays)
	enter := make(chan struct{})
	go func() { // it is left behind when time is over: the program ends then
		var b [1]byte
		_, _ = os.Stdin.Read(b[:])
		close(enter)
	}()
	select {
	case <-enter:
	case <-ctx.Done():
	case <-time.After(stays):
	}
	return nil
}

// attended reports whether somebody sits at a terminal.
func attended() bool {
	in, err := os.Stdin.Stat()
	if err != nil || in.Mode()&os.ModeCharDevice == 0 || os.Getenv("CI") != "" {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(in, null)
}

func get(ctx context.Context, url string, take func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return take(io.LimitReader(response.Body, 16<<20))
}

func save(path string, r io.Reader) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}
