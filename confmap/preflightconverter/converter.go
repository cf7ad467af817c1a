// Package preflightconverter says before the Collector starts what its own errors
// leave open: which variable moves an address that is in use, and that a file cannot be
// appended to, which the file exporter would find out with the first anomaly.
//
// It changes nothing. An address in use is a warning, since `validate` reads the
// configuration beside a running agent; the Collector's own error follows it.
package preflightconverter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/listeners"
)

// NewFactory makes the converter, for the converters of an ocb manifest.
func NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(set confmap.ConverterSettings) confmap.Converter {
		logger := set.Logger
		if logger == nil {
			logger = zap.NewNop()
		}
		return converter{logger}
	})
}

type converter struct{ logger *zap.Logger }

// Convert returns an error for each file in use that cannot be appended to.
func (c converter) Convert(_ context.Context, conf *confmap.Conf) error {
	used := usedIn(conf)
	for _, l := range listeners.Agent() {
		address := addressOf(l, conf)
		if address == "" || !used[component(l.Key)] || !inUse(address) {
			continue
		}
		c.logger.Warn(fmt.Sprintf("%s is in use: the collector cannot listen there for %s; set %s (config/agent.yaml) or %s to another address. Which program has it: ss -ltnp",
			address, l.Use, l.Variable, l.Key))
	}
	var errs []error
	exporters, _ := conf.Get("exporters").(map[string]any)
	for id, value := range exporters {
		exporter, _ := value.(map[string]any)
		path, _ := exporter["path"].(string)
		if kind, _, _ := strings.Cut(id, "/"); kind != "file" || path == "" || !used["exporters::"+id] {
			continue
		}
		if err := appendable(path); err != nil {
			errs = append(errs, fmt.Errorf("exporters::%s::path: nothing could be written there: %w", id, err))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// usedIn has the components that a pipeline or the service names, by kind and ID; the
// Collector does not start the others.
func usedIn(conf *confmap.Conf) map[string]bool {
	used := map[string]bool{"service::telemetry": true}
	name := func(kind string, ids any) {
		list, _ := ids.([]any)
		for _, id := range list {
			used[kind+"::"+fmt.Sprint(id)] = true
		}
	}
	name("extensions", conf.Get("service::extensions"))
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	for _, value := range pipelines {
		pipeline, _ := value.(map[string]any)
		name("receivers", pipeline["receivers"])
		name("exporters", pipeline["exporters"])
	}
	return used
}

// component is the part of a key that names a component, kind and ID.
func component(key string) string {
	kind, rest, _ := strings.Cut(key, "::")
	id, _, _ := strings.Cut(rest, "::")
	return kind + "::" + id
}

// addressOf is where a listener listens in this configuration; empty when it does not,
// or on a port that the kernel chooses.
func addressOf(l listeners.Listener, conf *confmap.Conf) string {
	address, _ := conf.Get(l.Key).(string)
	if l.Key == listeners.Metrics {
		address = metricsAddress(conf)
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "0" {
		return ""
	}
	return address
}

func metricsAddress(conf *confmap.Conf) string {
	readers, _ := conf.Get(listeners.Metrics).([]any)
	for _, value := range readers {
		reader := confmap.NewFromStringMap(map[string]any{"reader": value})
		host, port := reader.Get("reader::pull::exporter::prometheus::host"), reader.Get("reader::pull::exporter::prometheus::port")
		if host != nil && port != nil {
			return net.JoinHostPort(fmt.Sprint(host), fmt.Sprint(port))
		}
	}
	return ""
}

func inUse(address string) bool {
	l, err := net.Listen("tcp", address) //nolint:noctx // closed at once
	if err != nil {
		return errors.Is(err, unix.EADDRINUSE)
	}
	_ = l.Close()
	return false
}

// appendable makes no file. It is nil when there is not even a folder: the exporter
// makes that at its start, or says why it cannot.
func appendable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) //nolint:gosec // the user's own choice
	if errors.Is(err, fs.ErrNotExist) {
		err = unix.Access(filepath.Dir(path), unix.W_OK)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	if err != nil {
		return err
	}
	return f.Close()
}
