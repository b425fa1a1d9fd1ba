// Package monitoring is what package monitor needs of an App beside its public methods.
package monitoring

import (
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
)

// App is a bus.App as the monitor sees it. No method does I/O.
type App interface {
	// Connections counts those to each broker's address; nil before the App connects.
	Connections() []kafka.ConnStats
	// TopicPrefix stands in front of the name of every topic.
	TopicPrefix() string
	// Problems are what bus.App.Health returns, one by one.
	Problems() []Problem
	// LogHandlers are those that ship through the App and are not closed, in the order in which they were made.
	LogHandlers() []shipping.Attached
}

// Problem is one thing that is wrong.
type Problem struct {
	// Group is that of the subscription that it is about; "" when it is about no subscription.
	Group string
	Err   error
}
