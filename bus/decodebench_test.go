package bus

import (
	"encoding/json"
	"testing"
)

// page is an event of about 200 bytes.
type page struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Version int      `json:"version"`
	Price   float64  `json:"price"`
	Tags    []string `json:"tags"`
}

var pageRecord = &Record{Value: []byte(`{"schema":"Page:1","data":{"id":"018f6f3e-7d1c-7c3e-9c50-6a2b1e4f9d11",` +
	`"title":"A longer title, as an editor would write it for a page of the shop","version":17,"price":1249.5,` +
	`"tags":["new","sale","spring","garden"]}}`)}

// BenchmarkDecode is one record for each kind of handler. "encoding/json" is what a handler of bytes would do by
// itself.
func BenchmarkDecode(b *testing.B) {
	b.Run("encoding-json", func(b *testing.B) {
		repeat(b, func() {
			var whole struct {
				Schema string `json:"schema"`
				Data   page   `json:"data"`
			}
			if err := json.Unmarshal(pageRecord.Value, &whole); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("struct", func(b *testing.B) { repeat(b, decodesOnce[page](b, pageRecord)) })
	b.Run("pointer", func(b *testing.B) { repeat(b, decodesOnce[*page](b, pageRecord)) })
	b.Run("message", func(b *testing.B) { repeat(b, decodesOnce[*Message[page]](b, pageRecord)) })
	b.Run("raw-message", func(b *testing.B) { repeat(b, decodesOnce[*Message[json.RawMessage]](b, pageRecord)) })
	b.Run("map", func(b *testing.B) { repeat(b, decodesOnce[map[string]any](b, pageRecord)) })
	b.Run("validated", func(b *testing.B) {
		decode, err := decoderOf[page](true)
		if err != nil {
			b.Fatal(err)
		}
		repeat(b, func() {
			if _, err := decode(pageRecord); err != nil {
				b.Error(err)
			}
		})
	})
}

func repeat(b *testing.B, once func()) {
	b.SetBytes(int64(len(pageRecord.Value)))
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
