package releases

import (
	"context"
	"net"

	"github.com/perfscope/perfscope/testbed/server"
)

const (
	yaml     = "gopkg.in/yaml.v2"
	html     = "golang.org/x/net"
	language = "golang.org/x/text"
	jwt      = "github.com/golang-jwt/jwt/v5"
	cors     = "github.com/rs/cors"
	statsd   = "github.com/prometheus/statsd_exporter"
	nats     = "github.com/nats-io/nats-server/v2"
)

// versions are releases of others. The truth of each are the functions that the commit
// changed which made the difference. One that is told backwards is the fix undone.
func versions() []Pair {
	return []Pair{
		{
			// https://github.com/go-yaml/yaml/commit/53403b58ad1b561927d19068c655246f2db79d48,
			// "Optimize cases with long potential simple_keys" (CVE-2019-11254): fetching a
			// token went through all simple keys.
			Name: "yaml-simple-keys", Kind: Fix,
			Before: upgrade("settings", yaml, "v2.2.7"), After: upgrade("settings", yaml, "v2.2.8"), Load: requests(settings),
			Truth: []string{
				"gopkg.in/yaml%2ev2.yaml_parser_fetch_more_tokens", "gopkg.in/yaml%2ev2.yaml_parser_save_simple_key",
				"gopkg.in/yaml%2ev2.yaml_parser_remove_simple_key", "gopkg.in/yaml%2ev2.yaml_parser_decrease_flow_level",
				"gopkg.in/yaml%2ev2.yaml_parser_fetch_value",
			},
		},
		{
			// https://github.com/golang/net/commit/8e66b04771e35c4e4125e8c60334b34e2423effb,
			// "html: use strings.EqualFold instead of lowering ourselves" (CVE-2024-45338),
			// undone.
			Name: "html-fold", Kind: Regression,
			Before: upgrade("pages", html, "v0.33.0"), After: upgrade("pages", html, "v0.32.0"), Load: requests(pages),
			Truth: []string{
				"golang.org/x/net/html.htmlIntegrationPoint", "golang.org/x/net/html.parseDoctype",
				"golang.org/x/net/html.inTableIM", "golang.org/x/net/html.inBodyIM",
			},
		},
		{
			// https://github.com/golang/text/commit/434eadcdbc3b0256971992e8c70027278364c72c,
			// "language: reject excessively large Accept-Language strings" (CVE-2022-32149).
			Name: "language-list", Kind: Fix,
			Before: upgrade("greetings", language, "v0.3.7"), After: upgrade("greetings", language, "v0.3.8"), Load: requests(greetings),
			Truth: []string{"golang.org/x/text/language.ParseAcceptLanguage"},
		},
		{
			// https://github.com/golang-jwt/jwt/commit/0951d184286dece21f73c85673fd308786ffe9c3
			// (CVE-2025-30204): a token was split at every dot. Undone.
			Name: "jwt-split", Kind: Regression,
			Before: upgrade("doors", jwt, "v5.2.2"), After: upgrade("doors", jwt, "v5.2.1"), Load: requests(doors),
			Truth: []string{"github.com/golang-jwt/jwt/v5.(*Parser).ParseUnverified", "github.com/golang-jwt/jwt/v5.splitToken"},
		},
		{
			// https://github.com/rs/cors/pull/171 (v1.11.0): headers that are asked for were
			// split, made canonical and looked up one by one. Undone.
			Name: "cors-headers", Kind: Regression,
			Before: upgrade("origins", cors, "v1.11.0"), After: upgrade("origins", cors, "v1.10.1"), Load: requests(origins),
			Truth: []string{
				"github.com/rs/cors.(*Cors).handlePreflight", "github.com/rs/cors.(*Cors).areHeadersAllowed",
				"github.com/rs/cors.splitHeaderValues", "github.com/rs/cors.convertDidCopy", "github.com/rs/cors.convert",
			},
		},
		{
			// https://github.com/prometheus/statsd_exporter/pull/217 and /219 (v0.10.4):
			// labels are sorted once per event, names that need no escape are not copied.
			Name: "statsd-labels", Kind: Fix,
			Before: statsdExporter("v0.10.2", 0), After: statsdExporter("v0.10.4", 0), Load: measurements,
			Truth: []string{
				"main.hashNameAndLabels", "main.getLabelNames", "main.getSortedLabelNames", "main.escapeMetricName",
				"main.(*Exporter).handleEvent", "main.(*Exporter).saveLabelValues", "main.(*CounterContainer).Get",
				"main.(*SummaryContainer).Get", "main.(*GaugeContainer).Get",
			},
		},
		{
			// https://github.com/nats-io/nats-server/blob/v2.2.0/server/sublist.go: the cache of
			// subjects is a map under the list's lock, and was a sync.Map.
			Name: "nats-cache", Kind: Fix,
			Before: natsServer("v2.1.2", 0), After: natsServer("v2.2.0", 0), Load: subscriptions,
			Truth: []string{
				nats + "/server.(*Sublist).addToCache", nats + "/server.(*Sublist).removeFromCache",
				nats + "/server.(*Sublist).Match", nats + "/server.(*Sublist).match",
			},
		},
		{
			// https://github.com/markdown-it/markdown-it/commit/ffc49ab46b5b751cd2be0aabb146f2ef84986101
			// (12.3.2, CVE-2022-21670): spaces before the end of a line were looked for by a
			// regular expression. Undone.
			Name: "markdown-newline", Kind: Regression,
			Before: nodeUpgrade("articles", "markdown-it", "12.3.2"), After: nodeUpgrade("articles", "markdown-it", "12.3.1"), Load: requests(articles),
			Truth: []string{"newline"},
		},
		{
			// https://github.com/markedjs/marked/commit/c4a3ccd344b6929afa8a1d50ac54a721e57012c0
			// (4.0.10, CVE-2022-21680 and -21681): the rules block.def, inline.reflink and
			// inline.nolink, which the functions of these names apply.
			Name: "marked-definition", Kind: Fix,
			Before: nodeUpgrade("comments", "marked", "4.0.9"), After: nodeUpgrade("comments", "marked", "4.0.10"), Load: requests(comments),
			Truth: []string{"def", "reflink"},
		},
	}
}

// layouts are programs of others, built twice: the linker has the functions in another
// order.
func layouts() []Pair {
	laidOut := func(app, module, version string, layout int) Build {
		return func(ctx context.Context, service string) (*server.Server, error) {
			return server.StartUpgrade(ctx, service, app, server.Build{Of: server.Dependency{Path: module, Version: version}, Layout: layout})
		}
	}
	return []Pair{
		{Name: "same-yaml", Kind: Same, Before: laidOut("settings", yaml, "v2.2.8", 1), After: laidOut("settings", yaml, "v2.2.8", 2), Load: requests(settings)},
		{Name: "same-html", Kind: Same, Before: laidOut("pages", html, "v0.32.0", 1), After: laidOut("pages", html, "v0.32.0", 2), Load: requests(pages)},
		{Name: "same-language", Kind: Same, Before: laidOut("greetings", language, "v0.3.7", 1), After: laidOut("greetings", language, "v0.3.7", 2), Load: requests(greetings)},
		{Name: "same-jwt", Kind: Same, Before: laidOut("doors", jwt, "v5.2.1", 1), After: laidOut("doors", jwt, "v5.2.1", 2), Load: requests(doors)},
		{Name: "same-cors", Kind: Same, Before: laidOut("origins", cors, "v1.10.1", 1), After: laidOut("origins", cors, "v1.10.1", 2), Load: requests(origins)},
		{Name: "same-statsd", Kind: Same, Before: statsdExporter("v0.10.4", 1), After: statsdExporter("v0.10.4", 2), Load: measurements},
		{Name: "same-nats", Kind: Same, Before: natsServer("v2.2.0", 1), After: natsServer("v2.2.0", 2), Load: subscriptions},
	}
}

func upgrade(app, module, version string) Build {
	return func(ctx context.Context, service string) (*server.Server, error) {
		return server.StartUpgrade(ctx, service, app, server.Build{Of: server.Dependency{Path: module, Version: version}})
	}
}

func nodeUpgrade(app, name, version string) Build {
	return func(ctx context.Context, service string) (*server.Server, error) {
		return server.StartNodeUpgrade(ctx, service, app, server.Dependency{Path: name, Version: version})
	}
}

// statsdExporter takes packets on the UDP port that has the number of its TCP port.
func statsdExporter(version string, layout int) Build {
	return func(ctx context.Context, service string) (*server.Server, error) {
		b := server.Build{Of: server.Dependency{Path: statsd, Version: version}, Layout: layout}
		return server.StartInstalled(ctx, service, b, func(addr, _ string) []string {
			return []string{"--web.listen-address=" + addr, "--statsd.listen-udp=" + addr, "--statsd.listen-tcp="}
		})
	}
}

func natsServer(version string, layout int) Build {
	return func(ctx context.Context, service string) (*server.Server, error) {
		b := server.Build{Of: server.Dependency{Path: nats, Version: version}, Layout: layout}
		return server.StartInstalled(ctx, service, b, func(addr, _ string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return []string{"-a", host, "-p", port}
		})
	}
}
