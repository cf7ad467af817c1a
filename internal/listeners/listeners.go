// Package listeners knows the addresses that config/agent.yaml listens on.
package listeners

// A Listener is one of them.
type Listener struct {
	Use      string
	Key      string // of the configuration, with :: between the levels
	Default  string // host:port
	Variable string // that moves it
}

// Metrics has host and port apart.
const Metrics = "service::telemetry::metrics::readers"

// Agent has all of them.
func Agent() []Listener {
	return []Listener{
		{"OTLP over gRPC", "receivers::otlp::protocols::grpc::endpoint", "localhost:4317", "PERFSCOPE_OTLP_GRPC_ENDPOINT"},
		{"OTLP over HTTP", "receivers::otlp::protocols::http::endpoint", "localhost:4318", "PERFSCOPE_OTLP_HTTP_ENDPOINT"},
		{"the page", "extensions::perfscope_page::endpoint", "localhost:55690", "PERFSCOPE_PAGE_ENDPOINT"},
		{"the health check", "extensions::healthcheckv2::http::endpoint", "localhost:13133", "PERFSCOPE_HEALTH_ENDPOINT"},
		{"the metrics", Metrics, "localhost:8888", "PERFSCOPE_METRICS_PORT"},
	}
}
