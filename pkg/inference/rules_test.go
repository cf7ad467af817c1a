package inference

import "testing"

func TestOnlyRulesThatThereAreCanBeLeftOut(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Without = Rules()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.Without = []Rule{"none"}
	if cfg.Validate() == nil {
		t.Error("a rule that is none is left out")
	}
}
