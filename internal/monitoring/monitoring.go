// Package monitoring is the part of an App that package monitor needs beside the public methods.
package monitoring

import (
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
)

// App is a bus.App as the monitor uses it. No method does I/O.
type App interface {
	// Connections returns the statistics of the connections to each broker address; nil before the App connects.
	Connections() []kafka.ConnStats
	// TopicPrefix begins the name of each topic.
	TopicPrefix() string
	// Problems returns the problems that bus.App.Health joins.
	Problems() []Problem
	// LogHandlers returns the open log handlers that ship through the App, in the order of their creation.
	LogHandlers() []shipping.Attached
}

// Problem is one problem of an App.
type Problem struct {
	// Group is the group of the affected subscription; "" if it is not about a subscription.
	Group string
	Err   error
}
