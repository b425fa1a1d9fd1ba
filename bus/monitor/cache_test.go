package monitor

import (
	"context"
	"testing"
	"testing/synctest"
)

// A viewer that is gone does not wait for brokers that are away. Those who wait on get the answer of the one question.
func TestAViewerThatIsGoneWaitsForNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan struct{})
		c := cached[int]{ask: func(context.Context) (int, error) {
			asked++
			<-answer
			return 7, nil
		}}
		ctx, leave := context.WithCancel(t.Context())
		gone, got := make(chan struct{}), make(chan int)
		go func() {
			defer close(gone)
			_, _, _ = c.get(ctx)
		}()
		go func() {
			value, _, _ := c.get(t.Context())
			got <- value
		}()
		synctest.Wait()
		leave()
		<-gone
		close(answer)
		if value := <-got; value != 7 || asked != 1 {
			t.Errorf("the other one got %d, after %d questions", value, asked)
		}
	})
}
