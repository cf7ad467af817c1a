package runner

import (
	"testing"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func TestWhichAnomaliesAreAboutAServer(t *testing.T) {
	sc := scenario.Scenario{Server: "apache", Beside: []string{"postgres"}}
	for _, tc := range []struct {
		name  string
		ports []string
		a     agent.Anomaly
		want  bool
	}{
		{"one of its processes", nil, agent.Anomaly{Service: "httpd", PID: 7}, true},
		{"another process", nil, agent.Anomaly{Service: "apache", PID: 8}, false},
		{"of several processes, by name", nil, agent.Anomaly{Service: "apache", Listening: []string{"127.0.0.1:81"}}, true},
		{"of several processes, where it listens", []string{"80"}, agent.Anomaly{Service: "apache", Listening: []string{"127.0.0.1:443", "[::]:80"}}, true},
		{"another one of that name", []string{"80"}, agent.Anomaly{Service: "apache", Listening: []string{"127.0.0.1:81"}}, false},
		{"it is not known where it listens", []string{"80"}, agent.Anomaly{Service: "apache"}, true},
		{"one beside it", []string{"80", "5432"}, agent.Anomaly{Service: "postgres", Listening: []string{"127.0.0.1:5432"}}, true},
		{"something else", []string{"80"}, agent.Anomaly{Service: "redis", Listening: []string{"127.0.0.1:80"}}, false},
	} {
		l := Labels{PIDs: []int{7}, Ports: tc.ports}
		if got := l.about(sc, tc.a); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
