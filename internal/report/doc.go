// Package report renders evidence for people: as pages, as one file that opens
// anywhere, and as text for a console. All names come from hostile targets: pages are
// made with html/template, which escapes them for where they stand.
//
// What runs in the browser is in web/ (`npm ci && npm run build` there makes assets/).
package report
