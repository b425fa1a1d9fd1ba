package logrecord_test

import (
	"fmt"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

// A record that a service in Python wrote.
func ExampleDecode() {
	r, err := logrecord.Decode([]byte(`{"schema":"PydanticLogModel:1","data":{"timestamp":"2026-11-23T16:39:52.245858","severity":"NOTICE","level":25,"message":"signed in","user":"ada"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Time, r.Severity, int(r.Level), r.Message)
	for _, f := range r.Fields {
		fmt.Printf("%s=%s\n", f.Name, f.Value)
	}
	// Output:
	// 2026-11-23 16:39:52.245858 +0000 UTC NOTICE 2 signed in
	// user="ada"
}
