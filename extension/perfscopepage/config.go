package perfscopepage

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/component"
)

// Config of the extension; README.md explains each option.
type Config struct {
	// Endpoint is where the page is served, host:port.
	Endpoint string `mapstructure:"endpoint"`
	// ExternalURL is where people reach it, by a proxy for instance. With it anomalies
	// carry a link.
	ExternalURL string `mapstructure:"external_url"`
	// TraceURL makes the links of spans; {trace_id} and {span_id} are replaced.
	TraceURL string `mapstructure:"trace_url"`

	_ struct{}
}

func createDefaultConfig() component.Config { return &Config{Endpoint: "localhost:55690"} }

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if _, port, err := net.SplitHostPort(c.Endpoint); err != nil || port == "" {
		errs = append(errs, fmt.Errorf("endpoint is %q; it must be host:port, such as localhost:55690", c.Endpoint))
	}
	for _, u := range []struct{ key, value string }{{"external_url", c.ExternalURL}, {"trace_url", c.TraceURL}} {
		if u.value == "" {
			continue
		}
		parsed, err := url.Parse(strings.NewReplacer("{trace_id}", "1", "{span_id}", "1").Replace(u.value))
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			errs = append(errs, fmt.Errorf("%s is %q; it must begin with http:// or https:// and name a host", u.key, u.value))
		}
	}
	if c.TraceURL != "" && !strings.Contains(c.TraceURL, "{trace_id}") {
		errs = append(errs, fmt.Errorf("trace_url is %q; it must have {trace_id} where the trace's id belongs", c.TraceURL))
	}
	return errors.Join(errs...)
}
