package scenario

func goServers() []Scenario {
	return []Scenario{shelfJournal(), shelfCatalog(), shelfFrames(), shelfRatings(), shelfUploads(), natsChurning(), statsdIDs(), shelfTitles()}
}
