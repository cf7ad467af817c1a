// Package evidence is what is known of services as values to be shown or handed on:
// who is watched, how each fared over time, what is abnormal and why. Its JSON form is
// the interface behind the page. It knows nothing of how it is shown.
package evidence
