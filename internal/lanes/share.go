package lanes

import "hash/maphash"

// share says which items of a run go through which of the lanes: for each lane the places of its items. It returns nil
// when there is one lane for all, because items do not go by their key.
func (p *Pool[T]) share(lanes []*lane[T], items []T) [][]int32 {
	if p.opts.Mode != ByKey || len(items) == 0 {
		return nil
	}
	lane := make([]int32, len(items)) // of each item
	load := make([]int64, len(lanes))
	for i, l := range lanes {
		load[i] = l.load.Load()
	}
	count := make([]int, len(lanes))
	for i := range items {
		var k int
		if key := p.opts.Key(&items[i]); key == nil {
			k = p.lighter(load)
		} else {
			k = int(maphash.Bytes(p.seed, key) % uint64(len(load)))
		}
		lane[i] = int32(k)
		load[k]++
		count[k]++
	}
	indexes := make([]int32, len(items))
	shares := make([][]int32, len(lanes))
	for k, n := range count {
		shares[k], indexes = indexes[:0:n], indexes[n:]
	}
	for i, k := range lane {
		shares[k] = append(shares[k], int32(i))
	}
	return shares
}

// lighter returns of two neighbours the lane with less to do. The neighbours change from call to call: so every lane
// gets its part, but one that is held up gets no more than the next one has.
func (p *Pool[T]) lighter(load []int64) int {
	n := uint64(len(load))
	a := p.spread.Add(1) % n
	b := (a + 1) % n
	if load[b] < load[a] {
		return int(b)
	}
	return int(a)
}
