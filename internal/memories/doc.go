// Package memories keeps what is known of services across restarts of them and of the
// collector: one inference.Memory per service, build and role, in a storage extension, or in
// memory while there is none. It is bounded, and a damaged one costs itself only.
package memories
