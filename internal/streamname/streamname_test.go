package streamname

import "testing"

func TestOwn(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]bool{
		"orders.shipper.dead": true, "a.b.c.retry.12": true, "a.b.replay": true, "a.b.replay.log": true,
		"orders": false, "orders.dead": false, "a.b.retry.x": false, "a.b.dead.letters": false, "a.b.log": false,
	} {
		if got := IsOwn(stream); got != want {
			t.Errorf("IsOwn(%q) = %v", stream, got)
		}
	}
	for pattern, want := range map[string]bool{
		"orders.*.dead": true, "*.retry.*": true, "*.replay": true, "*.replay.log": true, "*": false, "orders.*": false, "*.log": false,
	} {
		if got := NamesOwn(pattern); got != want {
			t.Errorf("NamesOwn(%q) = %v", pattern, got)
		}
	}
}
