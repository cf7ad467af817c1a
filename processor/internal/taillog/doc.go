// Package taillog is what is known of slow requests as log records and as events on
// spans: what they are called there, and how they are written.
package taillog
