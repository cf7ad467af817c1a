package scenario

func nodeServers() []Scenario {
	return []Scenario{
		nodeLogLoop(), nodeJournalSync(), nodeAuditPipe(), nodeManifest(), nodeProof(),
		expressRoute(), markdownEmphasis(), notesLinks(),
	}
}
