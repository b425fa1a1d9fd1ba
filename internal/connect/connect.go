// Package connect resolves which Kafka a command line of kafkaesk or logtail connects to, from flags, environment
// variables and a profile. Errors never contain a value, because a value may be a secret.
package connect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/pflag"

	"github.com/kafkaesk/kafkaesk/internal/cliflags"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/profile"
)

// Flags are the values of the flags.
type Flags struct {
	servers                   []string
	prefix, settings, profile string
}

// Target is a resolved connection.
type Target struct {
	// Servers are the initial brokers, each host:port; none when the command line has none.
	Servers []string
	// Prefix begins the name of each topic.
	Prefix string
	// Raw are the client settings by aiokafka's names, Settings their parsed form.
	Raw      map[string]any
	Settings kafka.Settings
	// Warnings are to be printed on standard error.
	Warnings []string
}

// FlagSet returns the flags. An environment variable can replace each of them.
func (f *Flags) FlagSet() *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringSliceVarP(&f.servers, "kafka-servers", "b", nil, "brokers to ask first, `HOST:PORT`[,...]")
	fs.StringVar(&f.prefix, "topic-prefix", "", "`PREFIX` of the topics' names; patterns do not include it")
	fs.StringVar(&f.settings, "kafka-settings", "", "client settings in aiokafka's names, as a `JSON` object, or "+
		"@FILE that has one")
	fs.StringVar(&f.profile, "profile", "", "take what is not given from the profile of this `NAME` in "+
		"kafkaesk/config.json of your configuration directory")
	for _, name := range names() {
		fs.Lookup(name).Usage += " ($" + cliflags.Variable(name) + ")"
	}
	return fs
}

// names lists the flags that a variable can replace, in the order in which they are resolved.
func names() []string { return []string{"kafka-servers", "kafka-settings", "topic-prefix", "profile"} }

// Resolve reads missing values from the environment and the profile, and parses them. given contains the flags of
// FlagSet. defaults are settings that the command line overrides by name.
func (f *Flags) Resolve(given *pflag.FlagSet, getenv func(string) string, defaults map[string]any) (Target, error) {
	source, err := f.complete(given, getenv)
	if err != nil {
		return Target{}, err
	}
	t := Target{Prefix: f.prefix, Raw: make(map[string]any)}
	if len(f.servers) > 0 {
		if t.Servers, err = cliflags.Servers(f.servers...); err != nil {
			return Target{}, fmt.Errorf("%s: %w", source["kafka-servers"], err)
		}
	}
	text, warning, err := cliflags.Contents(f.settings)
	if err != nil {
		return Target{}, fmt.Errorf("%s: %w", source["kafka-settings"], err)
	}
	if warning != "" {
		t.Warnings = append(t.Warnings, warning)
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &t.Raw); err != nil || t.Raw == nil {
			return Target{}, fmt.Errorf(`%s: settings are not a JSON object such as {"security_protocol":"SSL"}`,
				source["kafka-settings"])
		}
	}
	for name, value := range defaults {
		if _, given := t.Raw[name]; !given {
			t.Raw[name] = value
		}
	}
	settings, warnings, err := kafka.ParseSettings(t.Raw)
	if err != nil {
		return Target{}, fmt.Errorf("%s: %w", source["kafka-settings"], err)
	}
	t.Settings, t.Warnings = settings, append(t.Warnings, warnings...)
	return t, nil
}

// complete fills in the missing flags. It returns the source of each value, for errors.
func (f *Flags) complete(given *pflag.FlagSet, getenv func(string) string) (source map[string]string, err error) {
	source = make(map[string]string)
	for _, name := range names() {
		source[name] = "--" + name
		variable := cliflags.Variable(name)
		if value := getenv(variable); value != "" && !given.Changed(name) {
			source[name] = "$" + variable
			if err := given.Set(name, value); err != nil {
				return nil, fmt.Errorf("$%s: %w", variable, err)
			}
		}
	}
	if f.profile == "" {
		return source, nil
	}
	path, err := profile.Path(getenv)
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	p, err := profile.Named(path, f.profile)
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	for name, value := range p.Flags() {
		if value != "" && !given.Changed(name) {
			source[name] = fmt.Sprintf("profile %q: %s", f.profile, name)
			if err := given.Set(name, value); err != nil {
				return nil, fmt.Errorf("%s: %w", source[name], err)
			}
		}
	}
	return source, nil
}

// ErrNoServers is the error of a command line without a broker.
var ErrNoServers = errors.New("which brokers? Give --kafka-servers HOST:PORT or --profile NAME, or set " +
	cliflags.Variable("kafka-servers"))

// ProfileNames returns the names of all profiles, for shell completion.
func ProfileNames(getenv func(string) string) []string {
	path, err := profile.Path(getenv)
	if err != nil {
		return nil
	}
	profiles, err := profile.Read(path)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(profiles))
}
