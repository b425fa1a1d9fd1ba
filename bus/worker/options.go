package worker

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// options are what the command line and the environment say.
type options struct {
	config     bus.Config // only what they set
	format     string     // of the log: text or json
	level      slog.Level
	log        bool   // they say something of the log
	listenAddr string // the monitor's address; "" for none
	// describe asks for what the App declares, instead of a worker.
	describe bool
	// version asks for the program's.
	version bool
	// warning is what is wrong with the file of the settings, if there is one.
	warning string
}

// option is a flag and the variable that stands in for it.
type option struct {
	name    string
	short   string // another name, or ""
	value   string // what the help calls its value
	usage   string
	initial string // what the help says it is without flag and variable
	set     func(o *options, value string) error
}

func (o option) variable() string { return cliflags.Variable(o.name) }

const asConfigured = "as the program configured"

// table lists the options in the order of the help. Errors of set never hold the value: it may be a secret, or hold
// one.
func table() []option {
	return []option{
		{name: "kafka-servers", short: "b", value: "HOST:PORT[,...]", usage: "brokers to ask first", initial: asConfigured,
			set: setServers},
		{name: "kafka-settings", value: "JSON|@FILE", usage: "client settings in aiokafka's names, as a JSON object or a " +
			"file of one; they replace all that the program configured",
			initial: asConfigured, set: setSettings},
		{name: "topic-prefix", value: "PREFIX", usage: "stands in front of every topic's name", initial: asConfigured,
			set: setPrefix},
		{name: "replication-factor", value: "N", usage: "of the topics that the app creates", initial: asConfigured +
			", or one for each broker, at most 3", set: setReplication},
		{name: "drain-timeout", value: "DURATION", usage: "how long running handlers may finish when partitions are taken " +
			"away or the program ends",
			initial: asConfigured + ", or 30s", set: setDrain},
		{name: "listen", value: "[HOST]:PORT", usage: "serve metrics, health and a status page over HTTP; without a host " +
			"on loopback only",
			initial: "off", set: setListen},
		{name: "log-format", value: "text|json", usage: "the form of the log on standard error",
			initial: "the logger that the program configured, else text", set: setFormat},
		{name: "log-level", value: "LEVEL", usage: "the least level that is logged: debug, info, warn, error",
			initial: "the logger that the program configured, else info", set: setLevel},
	}
}

// parse reads the command line, and the environment for what that leaves out. It returns flag.ErrHelp when help is
// asked for. Its errors hold no value, because a value may be a secret.
func parse(args []string, env func(string) (string, bool)) (options, error) {
	o := options{format: "text"}
	given := make(map[string]string)
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, x := range table() {
		keep := func(value string) error {
			given[x.name] = value
			return nil
		}
		fs.Func(x.name, x.usage, keep)
		if x.short != "" {
			fs.Func(x.short, x.usage, keep)
		}
	}
	fs.BoolVar(&o.describe, "describe", false, "")
	fs.BoolVar(&o.version, "version", false, "")
	ofPython := false
	fs.Func("api-version", "", func(string) error { ofPython = true; return nil })
	switch err := fs.Parse(args); {
	case err != nil:
		return o, err
	case ofPython:
		return o, errors.New("--api-version is a flag of Python's kafkaesk: leave it out, the brokers are asked for their " +
			"versions")
	case fs.NArg() > 0:
		return o, fmt.Errorf("argument %d is not a flag: put a value with blanks into quotes", len(args)-fs.NArg()+1)
	}
	for _, x := range table() {
		value, ok := given[x.name]
		source := "--" + x.name
		if !ok {
			if value, ok = env(x.variable()); !ok || value == "" {
				continue
			}
			source = "$" + x.variable()
		}
		if err := x.set(&o, value); err != nil {
			return o, fmt.Errorf("%s: %w", source, err)
		}
	}
	return o, nil
}

func setServers(o *options, value string) (err error) {
	o.config.Servers, err = cliflags.Servers(value)
	return err
}

func setSettings(o *options, value string) error {
	text, warning, err := cliflags.Contents(value)
	o.warning = warning
	if err == nil {
		o.config.Settings, err = bus.ParseSettings(text)
	}
	return err
}

func setPrefix(o *options, value string) error {
	o.config.TopicPrefix = value
	return nil
}

func setReplication(o *options, value string) (err error) {
	o.config.ReplicationFactor, err = cliflags.ReplicationFactor(value)
	return err
}

func setDrain(o *options, value string) (err error) {
	o.config.DrainTimeout, err = cliflags.Duration(value)
	return err
}

func setFormat(o *options, value string) error {
	if value != "text" && value != "json" {
		return errors.New("want text or json")
	}
	o.format, o.log = value, true
	return nil
}

func setLevel(o *options, value string) (err error) {
	o.level, err = severity.Parse(value)
	o.log = true
	return err
}

func setListen(o *options, value string) (err error) {
	if value != "" {
		o.listenAddr, err = cliflags.ListenAddress(value)
	}
	return err
}

// logger returns the worker's logger.
func (o options) logger(w io.Writer, level slog.Leveler) *slog.Logger {
	h := &slog.HandlerOptions{Level: level}
	if o.format == "json" {
		return slog.New(recordHandler{slog.NewJSONHandler(w, h)})
	}
	return slog.New(recordHandler{slog.NewTextHandler(w, h)})
}

// help writes what --help prints.
func help(w io.Writer, program string) error {
	fmt.Fprintf(w, "Usage: %s [flags]\n\nHandles the records of the app's subscriptions until it is told to end.\n\n",
		program)
	for _, x := range table() {
		short := "    "
		if x.short != "" {
			short = "-" + x.short + ", "
		}
		fmt.Fprintf(w, "  %s--%s %s\n        %s\n        $%s; default: %s\n", short, x.name, x.value, x.usage,
			x.variable(), x.initial)
	}
	_, err := fmt.Fprintf(w, `      --describe
        print what the app declares, its schemas and subscriptions, as JSON, and end; no broker is asked
      --version
        print the versions of the program, kafkaesk and Go, and end

A flag wins over its variable, and both win over what the program configured. Settings may hold secrets: give
such settings by the variable or in a file, not as an argument. Python's --api-version is not needed: the brokers
are asked for their versions.

SIGINT and SIGTERM let running handlers finish for the drain timeout, commit what is done and leave the groups, and
give the app %v more to close. Signals within a second of the first are the same stop; a later one ends the program
at once. SIGUSR1 switches the level of the log to debug, and back.

Exit codes:
  0    ended by a signal, or every subscription has stopped
  1    failed: a handler's error that nothing deals with, brokers that refuse, records that could not be delivered
       at the end
  2    the command line or the environment is wrong, or there are no servers
  130  ended at once by a second SIGINT
  143  ended at once by a second SIGTERM
`, closeTimeout)
	return err
}
