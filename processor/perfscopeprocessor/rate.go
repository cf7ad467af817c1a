package perfscopeprocessor

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may happen: a count and a time, "1/30d".
type Rate string

// defaultFalseAlarms is about one a week for a team with four services.
const defaultFalseAlarms Rate = "1/30d"

// Bounds of false_alarms, a day.
const (
	fewestFalseAlarms = 1.0 / 3650
	mostFalseAlarms   = 24.0
)

var errRate = errors.New("it must be a count and a time in minutes, hours or days, such as 1/30d, from 1/3650d to 1/h")

// perDay is the rate per day.
func (r Rate) perDay() (float64, error) {
	count, per, ok := strings.Cut(strings.TrimSpace(string(r)), "/")
	n, err := strconv.ParseFloat(count, 64)
	if !ok || err != nil {
		return 0, errRate
	}
	length, err := period(per)
	if err != nil || length <= 0 {
		return 0, errRate
	}
	rate := n * float64(24*time.Hour) / float64(length)
	if !(rate >= fewestFalseAlarms && rate <= mostFalseAlarms) {
		return 0, errRate
	}
	return rate, nil
}

// period reads a time that may be in days, with or without a number.
func period(text string) (time.Duration, error) {
	if text != "" && (text[0] < '0' || text[0] > '9') {
		text = "1" + text
	}
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseFloat(days, 64)
	return time.Duration(n * float64(24*time.Hour)), err
}
