package listeners

import (
	"os"
	"strings"
	"testing"
)

// TestAgentListensThere: every default stands in config/agent.yaml behind its variable,
// and agent.yaml has no other listener that a variable moves.
func TestAgentListensThere(t *testing.T) {
	data, err := os.ReadFile("../../config/agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	agent := string(data)
	for _, l := range Agent() {
		value := l.Default
		if l.Key == Metrics {
			_, value, _ = strings.Cut(value, ":")
		}
		if want := "${env:" + l.Variable + ":-" + value + "}"; !strings.Contains(agent, want) {
			t.Errorf("%s: %s is not in config/agent.yaml", l.Use, want)
		}
	}
	if got := strings.Count(agent, ":-localhost:"); got != len(Agent())-1 {
		t.Errorf("config/agent.yaml listens on %d addresses beside the metrics', %d are known", got, len(Agent())-1)
	}
}
