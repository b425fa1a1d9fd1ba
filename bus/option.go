package bus

// apply applies options to what they change. A nil option, as a caller has it who sets one only in some cases, changes
// nothing.
func apply[T any, O ~func(*T)](to *T, options []O) {
	for _, o := range options {
		if o != nil {
			o(to)
		}
	}
}
