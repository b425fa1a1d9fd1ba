// Package monitor shows the state of an App: metrics for Prometheus, health for Kubernetes, a JSON API, and a page.
//
//	mux.Handle("/monitor/", http.StripPrefix("/monitor", monitor.Handler(app)))
//
// A worker serves it with the flag --listen (KAFKAESK_LISTEN); see package worker.
//
// The handler answers these paths, below any prefix, which ends in a slash. It changes nothing, and refuses methods
// other than GET and HEAD.
//
//	/                        a page: what is wrong, groups, streams, members, partitions that are behind, dead
//	                         letters, log queues, connections; live, and readable without JavaScript
//	/metrics                 metrics in the formats of Prometheus and OpenMetrics
//	/livez                   200 while a restart would not help, else 503
//	/readyz                  200 when the App is healthy and runs, else 503; both have the reasons as JSON
//	/api/v1/info             the program, its version, brokers and connections, and whether it is ready
//	/api/v1/subscriptions    the state of each subscription of the App
//	/api/v1/groups           its groups as Kafka has them, with members, lag and age: as `kafkaesk groups -o json`
//	/api/v1/streams          the streams that it knows: as `kafkaesk streams -o json`
//	/api/v1/schemas          the schemas that are declared, with their JSON Schemas
//	/api/v1/logs             the counts of the log handlers, by stream
//
// Below /api each answer is a JSON object with generated_at and what was asked for. Brokers are asked at most once in 5
// seconds, however many clients there are. When they do not answer within 10 seconds, the answer is 503 with the error.
// Metrics and health ask no broker. The page draws rates and trends from samples. A sample is taken when an open page,
// or a scrape of the metrics, asks for its data.
//
// No answer holds a secret: settings, credentials and records are in none of them. Answers do have the text of errors,
// which may quote a part of a record. The handler asks for no password: whoever may connect may read.
//
// # Metrics
//
// Labels are bounded: streams beyond the first 1,000 of the process share the name "(other)", and errors are one of a
// few words. The series of a partition are there while the App's member has the partition.
//
//	kafkaesk_build_info{version,go_version}            1
//	kafkaesk_ready                                     1 when /readyz is 200, else 0
//
//	kafkaesk_consumer_lag{stream,group,partition}      records that are not finished; none while it is not known
//	kafkaesk_consumer_oldest_unhandled_timestamp_seconds{stream,group,partition}
//	                                                   the time of the first record that waits or is handled; no series
//	                                                   when none does
//	kafkaesk_consumer_healthy{group}                   1 when all of the App's subscriptions of the group are healthy
//	kafkaesk_consumer_assigned_partitions{group}       and further gauges and counters of a group; /metrics explains each
//	kafkaesk_consumer_rebalances_total{group,event}    event: assigned, revoked, or lost: the group went on without it
//	kafkaesk_consumed_messages_total{stream,group,outcome}
//	kafkaesk_handler_duration_seconds{stream,group}    the work on a record, with attempts, pauses and its dead letter
//	kafkaesk_message_lead_time_seconds{stream,group}   from the record's timestamp to the end of the work
//
//	kafkaesk_published_messages_total{stream,error}    error: none, invalid, too_large, auth, closed, unacknowledged,
//	                                                   canceled, timeout or other
//	kafkaesk_publish_duration_seconds{stream}          from the call to the outcome
//	kafkaesk_producer_...                              what is buffered, sent, repeated
//
//	kafkaesk_log_...{stream}                           the counts of slogkafka.Stats
//	kafkaesk_log_dropped_total{stream,reason}
//
//	kafkaesk_broker_...{broker}                        connections to each address, and bytes
//
// The age of the oldest record is `time() - kafkaesk_consumer_oldest_unhandled_timestamp_seconds`. Counters of a group
// begin again at 0 with each [bus.App.Run].
package monitor
