package bus

import (
	"context"
	"errors"
	"runtime/debug"
)

// errBehind is what the middleware of a record gets whose batch was not finished because of a record before it.
var errBehind = errors.New("a record before this one in its batch is not finished; this one is handed over again")

// nestedBatch is a call of the middleware for the records of a batch. Each record's middleware calls that of the next
// record as its next; that of the last record calls the handler, with all records that have come through.
type nestedBatch struct {
	chain  *batchChain
	batch  *decodedBatch
	passed []int // indexes of the records that have come through
	errs   []error
	shared bool // what the handler returned is not known to be of its first record
}

// batchCall is the middleware of one record of a batch.
type batchCall struct {
	*nestedBatch
	index  int
	passed int  // records before it that have come through
	called bool // the middleware has called next
}

type batchCallKey struct{}

// run calls the middleware of the record at an index, and with it that of all records behind it.
func (n *nestedBatch) run(ctx context.Context, index int) {
	for ; index < len(n.errs); index++ {
		s := &batchCall{nestedBatch: n, index: index, passed: len(n.passed)}
		err := n.chain.middleware(context.WithValue(ctx, batchCallKey{}, s), n.batch.records[index])
		n.errs[index] = printable(err)
		if s.called {
			return
		}
		if err != nil {
			break // those before it have their turn, and those behind it another time
		}
	}
	n.call(ctx)
}

// nextOfBatch is the innermost part of the middleware around a batch's handler.
func nextOfBatch(ctx context.Context, r *Record) error {
	s, ok := ctx.Value(batchCallKey{}).(*batchCall)
	if !ok {
		return errNoPartition
	}
	if s.called && errors.Is(s.errs[s.index], errBehind) {
		// To call next once more is for the record that has failed: if each one behind it did so, too, the calls of the
		// handler would be multiplied.
		return errBehind
	}
	s.called = true
	s.nestedBatch.passed = append(s.nestedBatch.passed[:s.passed], s.index)
	if r != s.batch.records[s.index] { // another record than the one that came in
		element := s.batch.values.Index(s.index)
		element.SetZero()
		if err := s.chain.decode(r, element); err != nil {
			return Reject(err)
		}
	}
	s.run(ctx, s.index+1)
	return s.errs[s.index]
}

// call calls the handler with the records that have come through.
func (n *nestedBatch) call(ctx context.Context) {
	if len(n.passed) == 0 {
		return
	}
	b := n.chain.newBatch(len(n.passed))
	for i, index := range n.passed {
		b.records = append(b.records, n.batch.records[index])
		b.values = b.values.Slice(0, i+1)
		b.values.Index(i).Set(n.batch.values.Index(index))
	}
	r := n.protected(ctx, b)
	n.shared = r.shared
	for i, index := range n.passed {
		switch {
		case i < r.finished:
			n.errs[index] = nil
		case i == r.finished && r.err != nil:
			n.errs[index] = r.err
		default:
			n.errs[index] = errBehind
		}
	}
}

// protected makes a panic an error of the whole batch, before the middleware of its last record takes it for its own.
func (n *nestedBatch) protected(ctx context.Context, b *decodedBatch) (r batchResult) {
	defer func() {
		if v := recover(); v != nil {
			r = batchResult{err: &PanicError{Value: v, Stack: debug.Stack()}, shared: len(b.records) > 1}
		}
	}()
	return resultOf(n.chain.call(ctx, b), len(b.records))
}

// result returns what the middleware of all records has made of the handler's error.
func (n *nestedBatch) result() batchResult {
	for i, err := range n.errs {
		if err == nil || outcomeOf(err).kind == handled {
			continue
		}
		if errors.Is(err, errBehind) && i > 0 {
			return batchResult{finished: i}
		}
		first := len(n.passed) > 0 && n.passed[0] == i
		return batchResult{finished: i, err: err, shared: n.shared && first || errors.Is(err, errBehind) && len(n.errs) > 1}
	}
	return batchResult{finished: len(n.errs)}
}
