package recordid

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestIDsAreUUIDv7(t *testing.T) {
	now := time.UnixMilli(time.Now().UnixMilli())
	seen := make(map[uuid.UUID]bool)
	for range 10_000 {
		var text [Length]byte
		New(&text, now)
		id, err := uuid.ParseBytes(text[:])
		if err != nil {
			t.Fatal(err)
		}
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%s: version %v, variant %v", id, id.Version(), id.Variant())
		}
		if sec, nsec := id.Time().UnixTime(); !time.Unix(sec, nsec).Equal(now) {
			t.Fatalf("%s: time %v, want %v", id, time.Unix(sec, nsec), now)
		}
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}
