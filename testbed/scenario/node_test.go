package scenario

func init() {
	addCheck("node-log-loop", burns(0.3))
	// The pipe takes a second to fill, the disk may be fast: what they do
	// shows in longer runs.
	addCheck("node-journal-sync", nil)
	addCheck("node-audit-pipe", nil)
	addCheck("node-manifest", burns(0.05))
	addCheck("node-proof", slow(2))
	addCheck("express-route", slow(2))
	addCheck("markdown-emphasis", burns(0.04))
	addCheck("notes-links", burns(0.05))
}
