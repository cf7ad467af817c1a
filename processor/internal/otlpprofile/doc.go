// Package otlpprofile reads OTLP profiles
// (https://opentelemetry.io/docs/specs/otel/profiles/, alpha) into samples that the
// inference takes. It trusts nothing: what does not fit is left out and counted by its
// reason, and what it makes of one payload is bounded.
package otlpprofile
