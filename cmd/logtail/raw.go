package main

// rawPrinter prints a record's value as it is, and an end of line. On a terminal the value is escaped.
type rawPrinter struct{ escape bool }

func (p rawPrinter) append(dst []byte, e *entry) []byte {
	if p.escape {
		dst = appendText(dst, string(e.record.Value))
	} else {
		dst = append(dst, e.record.Value...)
	}
	return append(dst, '\n')
}
