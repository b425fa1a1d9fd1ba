// Package kafka is the one package that speaks to Kafka through kafka-go: connection settings, one Transport, a view of
// the cluster, topics, offsets, and what each error means.
//
// A [Client] owns the connections of an application. It stands on kafka-go's Transport and its protocol messages, and
// on nothing else of kafka-go: Writer, Reader and Conn hide errors, requests and goroutines that the bus has promises
// about. The rooms below it (produce, fetch, tail, ...) build messages and send them with [Client.RoundTrip]; wire
// knows their bytes.
//
// What is known of topics comes from a [Watch], whose goroutine all parts of an application share, or is asked for at
// once with [Client.Topics] and [Client.AllTopics]. The Transport is made to know the brokers only, so requests name
// theirs.
//
// Retries: [Client.RoundTrip] sends once. [Client.CheckVersions], [Client.EnsureTopic] and [Client.ListOffsets] repeat
// what [Classify] says a retry can mend until their context ends. Brokers are trusted: kafka-go decodes what they
// answer, in goroutines of its own, where nothing can be recovered.
package kafka
