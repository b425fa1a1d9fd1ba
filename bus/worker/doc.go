// Package worker turns a [bus.App] into a program: flags, environment, signals and an exit code.
//
//	func main() {
//		worker.Main(app)
//	}
//
// The command `kafkaesk ./pkg:App` generates such a main for development. A production image has no Go toolchain: it
// gets a program of its own, with this main, or the one that `kafkaesk build` makes.
//
// # Configuration
//
// A flag wins over its environment variable, and both win over what the program configured. What neither sets stays as
// the program configured it. An empty variable counts as not set.
//
//	-b, --kafka-servers        KAFKAESK_KAFKA_SERVERS       brokers to ask first, host:port, separated by commas
//	    --kafka-settings       KAFKAESK_KAFKA_SETTINGS      settings as a JSON object, or @ and the name of a file
//	    --topic-prefix         KAFKAESK_TOPIC_PREFIX        stands in front of every topic's name
//	    --replication-factor   KAFKAESK_REPLICATION_FACTOR  of the topics that the App creates
//	    --drain-timeout        KAFKAESK_DRAIN_TIMEOUT       how long running handlers may finish, as 30s or 2m
//	    --listen               KAFKAESK_LISTEN              [host]:port of the monitor; off by default
//	    --log-format           KAFKAESK_LOG_FORMAT          text or json
//	    --log-level            KAFKAESK_LOG_LEVEL           debug, info, warn or error
//
// With --describe the program prints what the App declares, its schemas and subscriptions, as JSON, and ends without
// asking any broker. With --version it prints the versions of the program, kafkaesk and Go.
//
// Settings may hold secrets, and every user of a machine can read the arguments of its processes. Give such settings in
// a file, by @, or in the variable. No message prints them. A file with a password that others can read gives a warning
// in the log. The worker removes KAFKAESK_KAFKA_SETTINGS from its environment once it has read it, so that processes
// that handlers start do not get it. So a program that calls [bus.ConfigFromEnv] has to call it before [Main].
//
// # Monitor
//
// With --listen the worker serves [monitor.Handler] until the App is closed: metrics for Prometheus, health for
// Kubernetes, an API, and a status page. Without a host the address is on loopback. 0.0.0.0:9100 serves everybody who
// can reach the machine; the monitor asks for no password. The worker ends before it handles anything when it cannot
// listen at the address.
//
// # Logs
//
// The worker and the App have one logger: that of the App's [bus.Config], if the program set one. Without one, or when
// a flag or variable says how to log, it writes to standard error, as text from info on by default.
//
// The logger becomes slog's default, too, unless the program has called slog.SetDefault. So what handlers log by slog,
// or by package log, has the form and the level of the worker's log. What they log with their context has the
// attributes of [bus.LogAttrs].
//
// SIGUSR1 switches the level of the worker's log to debug, and back.
//
// # The end
//
// SIGINT and SIGTERM end the program in order: no further handler begins, running handlers have the drain timeout to
// finish, what is finished is committed, and the groups are left. Then [bus.App.Close] has 10 seconds. Set Kubernetes'
// terminationGracePeriodSeconds to the drain timeout plus 10 seconds.
//
// Signals within a second of the first one are the same stop. A later signal ends the program at once: the records
// whose handlers were running are handled again, by the next owner of their partitions.
//
// Exit codes:
//
//	0    ended by a signal, or every subscription has stopped by bus.ErrStop
//	1    failed: the monitor's address is taken, a handler's error ended Run, brokers refused the program,
//	     records that could not be delivered at the end
//	2    the command line or the environment is wrong, or there are no servers
//	130  ended at once by a second SIGINT
//	143  ended at once by a second SIGTERM
package worker
