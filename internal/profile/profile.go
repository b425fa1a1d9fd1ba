// Package profile reads how to connect to a Kafka from the file that the programs share, kafkaesk/config.json in the
// user's configuration directory:
//
//	{"profiles": {"prod": {"kafka-servers": "broker:9093", "topic-prefix": "shop.",
//	  "kafka-settings": {"security_protocol": "SASL_SSL"}}}}
//
// The names are those of the flags that a profile stands in for. Errors never hold a value, because a value may be a
// secret.
package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Profile is one Kafka.
type Profile struct {
	// Servers is as --kafka-servers takes it.
	Servers string `json:"kafka-servers"`
	// Prefix is as --topic-prefix takes it.
	Prefix string `json:"topic-prefix"`
	// Settings is as --kafka-settings takes it: a JSON object, here as it is, or a string such as "@file".
	Settings json.RawMessage `json:"kafka-settings"`
}

// Path is where the file is: in XDG_CONFIG_HOME, by getenv, or else in the user's configuration directory.
func Path(getenv func(string) string) (string, error) {
	dir := getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", fmt.Errorf("where the profiles are: %w", err)
		}
	}
	return filepath.Join(dir, "kafkaesk", "config.json"), nil
}

// Read reads all profiles of a file. One that has a password and that others may read is refused.
func Read(path string) (map[string]Profile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	var file struct {
		Profiles map[string]Profile `json:"profiles"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf(`profiles: %s: want {"profiles": {"NAME": {"kafka-servers": "HOST:PORT"}}}: %w`, path,
			withoutValue(err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	if mode := info.Mode().Perm(); isPosix && mode&0o077 != 0 && bytes.Contains(bytes.ToLower(text),
		[]byte("password")) {
		return nil, fmt.Errorf("profiles: %s has a password, and its mode %#o lets others read it: chmod 600 it",
			path, mode)
	}
	return file.Profiles, nil
}

const isPosix = os.PathSeparator == '/'

// withoutValue keeps a decoding error from quoting the file.
func withoutValue(err error) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s is a JSON %s", wrong.Field, wrong.Value)
	}
	return err
}

// Named reads one profile of a file.
func Named(path, name string) (Profile, error) {
	profiles, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Profile{}, fmt.Errorf("profile %q: there is no %s", name, path)
	}
	if err != nil {
		return Profile{}, err
	}
	p, ok := profiles[name]
	if !ok {
		return Profile{}, fmt.Errorf("profile %q is not in %s, which has: %s", name, path,
			strings.Join(slices.Sorted(maps.Keys(profiles)), ", "))
	}
	return p, nil
}

// Flags returns the values of the flags that the profile stands in for.
func (p Profile) Flags() map[string]string {
	settings := string(p.Settings)
	if text := ""; json.Unmarshal(p.Settings, &text) == nil {
		settings = text
	}
	return map[string]string{"kafka-servers": p.Servers, "topic-prefix": p.Prefix, "kafka-settings": settings}
}
