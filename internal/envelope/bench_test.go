package envelope

import (
	"encoding/json"
	"testing"
)

// typical is an event of a web shop, about 200 bytes of data.
type typical struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Version int      `json:"version"`
	Price   float64  `json:"price"`
	Tags    []string `json:"tags"`
}

const typicalValue = `{"schema":"Content:1","data":{"id":"018f6f3e-7d1c-7c3e-9c50-6a2b1e4f9d11","title":"A longer ` +
	`title, as an editor would write it for a page of the shop","version":17,"price":1249.5,"tags":["new","sale",` +
	`"spring","garden"]}}`

func BenchmarkParse(b *testing.B) {
	for _, bm := range []struct{ name, value string }{
		{"typical", typicalValue},
		{"numbers", `{"schema":"Content:1","data":[` + numbers(40) + `]}`},
		{"cyrillic", `{"schema":"Content:1","data":{"title":"Сколько времени уходит на проверку текста не из латинских ` +
			`букв"}}`},
	} {
		b.Run(bm.name, func(b *testing.B) {
			value := []byte(bm.value)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode compares Parse and encoding/json for the data with encoding/json for all of the envelope.
func BenchmarkDecode(b *testing.B) {
	value := []byte(typicalValue)
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			var data typical
			e, err := Parse(value)
			if err != nil {
				b.Fatal(err)
			}
			if err := json.Unmarshal(e.Data, &data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			var whole struct {
				Schema string  `json:"schema"`
				Data   typical `json:"data"`
			}
			if err := json.Unmarshal(value, &whole); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func numbers(n int) string {
	out := "-1.5e3"
	for range n {
		out += ",12345"
	}
	return out
}
