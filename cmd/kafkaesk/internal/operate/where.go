package operate

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// whereHelp describes the value of --where.
const whereHelp = "only those that meet a `CONDITION`, such as error~timeout, type=*net.OpError, key=7, attempts>=3, " +
	"age>24h (since it was given up), failed<2026-01-02T15:04:05Z, header.NAME=x, value~x, state=open; with = != < <= " +
	"> >= ~ (regular expression) !~; may be repeated, all must hold"

// condition reports whether a dead letter meets a condition.
type condition func(*bus.DeadLetterRecord) bool

// operators are the operators of a condition. An operator comes before its own prefixes.
var operators = [...]string{"!=", "!~", "<=", ">=", "=", "~", "<", ">"}

// parseWhere parses conditions; nil for none.
func parseWhere(texts []string, now time.Time) (condition, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	var all []condition
	for _, text := range texts {
		c, err := parseCondition(text, now)
		if err != nil {
			return nil, fmt.Errorf("--where %q: %w", text, err)
		}
		all = append(all, c)
	}
	return func(d *bus.DeadLetterRecord) bool {
		for _, c := range all {
			if !c(d) {
				return false
			}
		}
		return true
	}, nil
}

func parseCondition(text string, now time.Time) (condition, error) {
	at := strings.IndexAny(text, "!<>=~")
	if at < 0 {
		return nil, fmt.Errorf("want a condition such as error~timeout")
	}
	field, rest := text[:at], text[at:]
	for _, op := range operators {
		if value, ok := strings.CutPrefix(rest, op); ok {
			return newCondition(field, op, value, now)
		}
	}
	return nil, fmt.Errorf("want one of the operators = != < <= > >= ~ !~ behind %q", field)
}

// newCondition compares numbers and times if the field has one, else texts.
func newCondition(field, op, value string, now time.Time) (condition, error) {
	switch field {
	case "attempts":
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("attempts are compared with a number")
		}
		return ordered(op, func(d *bus.DeadLetterRecord) int { return cmp.Compare(d.Attempts, n) })
	case "failed":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, fmt.Errorf("%q is not a time: give one like 2026-01-02T15:04:05Z", value)
		}
		return ordered(op, func(d *bus.DeadLetterRecord) int { return d.FailedTime.Compare(t) })
	case "age":
		age, err := time.ParseDuration(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not a duration: give one like 24h", value)
		}
		return ordered(op, func(d *bus.DeadLetterRecord) int { return cmp.Compare(now.Sub(d.FailedTime), age) })
	}
	get, err := textOf(field)
	if err != nil {
		return nil, err
	}
	return textCondition(op, value, get)
}

func ordered(op string, compare func(*bus.DeadLetterRecord) int) (condition, error) {
	var holds func(int) bool
	switch op {
	case "=":
		holds = func(c int) bool { return c == 0 }
	case "!=":
		holds = func(c int) bool { return c != 0 }
	case "<":
		holds = func(c int) bool { return c < 0 }
	case "<=":
		holds = func(c int) bool { return c <= 0 }
	case ">":
		holds = func(c int) bool { return c > 0 }
	case ">=":
		holds = func(c int) bool { return c >= 0 }
	default:
		return nil, fmt.Errorf("numbers and times are compared with = != < <= > >=")
	}
	return func(d *bus.DeadLetterRecord) bool { return holds(compare(d)) }, nil
}

// textOf returns the function that reads a text field.
func textOf(field string) (func(*bus.DeadLetterRecord) string, error) {
	if name, ok := strings.CutPrefix(field, "header."); ok {
		return func(d *bus.DeadLetterRecord) string {
			value, _ := d.Record.Header(name)
			return string(value)
		}, nil
	}
	switch field {
	case "error":
		return func(d *bus.DeadLetterRecord) string { return d.Error }, nil
	case "type":
		return func(d *bus.DeadLetterRecord) string { return d.ErrorType }, nil
	case "key":
		return func(d *bus.DeadLetterRecord) string { return string(d.Record.Key) }, nil
	case "value":
		return func(d *bus.DeadLetterRecord) string { return string(d.Record.Value) }, nil
	case "state":
		return func(d *bus.DeadLetterRecord) string { return string(d.State) }, nil
	}
	return nil, fmt.Errorf("no field %q: give error, type, key, value, "+
		"attempts, age, failed, state or header.NAME", field)
}

func textCondition(op, value string, get func(*bus.DeadLetterRecord) string) (condition, error) {
	switch op {
	case "=":
		return func(d *bus.DeadLetterRecord) bool { return get(d) == value }, nil
	case "!=":
		return func(d *bus.DeadLetterRecord) bool { return get(d) != value }, nil
	case "~", "!~":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, err
		}
		return func(d *bus.DeadLetterRecord) bool { return pattern.MatchString(get(d)) == (op == "~") }, nil
	}
	return nil, fmt.Errorf("texts are compared with = != ~ !~")
}
