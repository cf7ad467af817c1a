package scenario

import "slices"

// unseen are servers with a scenario or two each that came when the inference
// was done; all are of the half that is for the report.
func unseen() []Scenario {
	return slices.Concat([]Scenario{
		varnishBans(), caddyRetries(), phpSession(), phpFigures(), mosquittoAutosave(), ticketsAttachments(), squidBlocklist(), mochiWildcards(),
	}, unseenC(), unseenDaemons(), unseenStores(), unseenMonitoring(), unseenPages(),
		unseenPools(), unseenLists(), unseenScripts(), unseenCompiled())
}
