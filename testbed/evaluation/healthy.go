package evaluation

// HealthyRow is one healthy run in testbed/out/healthy.json.
type HealthyRow struct {
	Scenario    string       `json:"scenario"`
	Server      string       `json:"server"`
	Seconds     float64      `json:"seconds"`
	FalseAlarms []FalseAlarm `json:"false_alarms"`
}

// FalseAlarm is an anomaly while nothing was wrong.
type FalseAlarm struct {
	// Seconds is from the start of the run.
	Seconds  float64  `json:"seconds"`
	Score    float64  `json:"score"`
	Sentence string   `json:"sentence"`
	Suspects []string `json:"suspects"`
}
