package logtext

import (
	"log/slog"
	"strconv"

	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// Level returns the level of a log record from the JSON of its fields "level" and "severity", which are nil if
// absent. It uses the number in level, or else a level name there (other loggers write one), or else the severity. An
// unknown severity is INFO. ok is false without both fields.
func Level(level, name []byte) (l slog.Level, ok bool) {
	if len(level) > 0 {
		if level[0] == '"' {
			if l, ok := severity.Word(jsonscan.Text(level[1 : len(level)-1])); ok {
				return l, true
			}
		} else if len(level) <= 2 && level[0] >= '1' && level[0] <= '9' { // the usual form
			n := int(level[0] - '0')
			if len(level) == 2 {
				if level[1] < '0' || level[1] > '9' {
					return 0, false
				}
				n = n*10 + int(level[1]-'0')
			}
			return severity.Numbered(float64(n)), true
		} else if n, err := strconv.ParseFloat(string(level), 64); err == nil {
			return severity.Numbered(n), true
		}
	}
	if len(name) > 0 && name[0] == '"' {
		l, _ := severity.Word(jsonscan.Text(name[1 : len(name)-1]))
		return l, true
	}
	return 0, false
}
