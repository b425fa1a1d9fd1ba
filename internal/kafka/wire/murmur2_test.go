package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// TestMurmur2Golden compares with what the Python client computed.
func TestMurmur2Golden(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/partitions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		var want struct {
			Key        []byte           `json:"key_b64"`
			Murmur2    uint32           `json:"murmur2"`
			Partitions map[string]int32 `json:"partitions"`
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		if got := murmur2(want.Key); got != want.Murmur2 {
			t.Errorf("murmur2(%q) = %d, want %d", want.Key, got, want.Murmur2)
		}
		for of, partition := range want.Partitions {
			parts, err := strconv.Atoi(of)
			if err != nil {
				t.Fatal(err)
			}
			if got := Murmur2Partition(want.Key, parts); got != partition {
				t.Errorf("Murmur2Partition(%q, %d) = %d, want %d", want.Key, parts, got, partition)
			}
		}
		n++
	}
	if n < 40 {
		t.Errorf("only %d golden keys", n)
	}
}
