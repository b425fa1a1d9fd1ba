// Package profile reads connection settings from the file that the programs share, kafkaesk/config.json in the user's
// configuration directory:
//
//	{"profiles": {"prod": {"kafka-servers": "broker:9093", "topic-prefix": "shop.",
//	  "kafka-settings": {"security_protocol": "SASL_SSL"}}}}
//
// The keys are the names of the flags that a profile replaces. Errors never contain a value, because a value may be a
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

// Profile is the connection to one Kafka.
type Profile struct {
	// Servers is the value of --kafka-servers.
	Servers string `json:"kafka-servers"`
	// Prefix is the value of --topic-prefix.
	Prefix string `json:"topic-prefix"`
	// Settings is the value of --kafka-settings: a JSON object, or a string such as "@file".
	Settings json.RawMessage `json:"kafka-settings"`
}

// Path returns the path of the file, in XDG_CONFIG_HOME (from getenv) or else in the user's configuration directory.
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

// Read reads all profiles of a file. It refuses a file with a password that other users can read.
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

// withoutValue removes the content of the file from a decoding error.
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

// Flags returns the values of the flags that the profile replaces.
func (p Profile) Flags() map[string]string {
	settings := string(p.Settings)
	if text := ""; json.Unmarshal(p.Settings, &text) == nil {
		settings = text
	}
	return map[string]string{"kafka-servers": p.Servers, "topic-prefix": p.Prefix, "kafka-settings": settings}
}
