// Package cliflags holds what the command lines of the programs share: the environment variables that replace flags,
// and the parsers of their values. Errors never contain a value, because a value may be a secret.
package cliflags

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Variable returns the name of the environment variable that replaces a flag: KAFKAESK_TOPIC_PREFIX for topic-prefix.
// An empty variable counts as unset.
func Variable(flag string) string {
	return "KAFKAESK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Servers parses lists of brokers, each a comma-separated list of host:port.
func Servers(lists ...string) ([]string, error) {
	var servers []string
	for server := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		if server = strings.TrimSpace(server); server == "" {
			continue
		}
		if !kafka.IsServer(server) {
			return nil, fmt.Errorf("server %d: want host:port, like localhost:9092", len(servers)+1)
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, errors.New("the list is empty: want host:port, like localhost:9092")
	}
	return servers, nil
}

// ListenAddress parses an address to listen on. Without a host the address is on loopback;
// 0.0.0.0:9100 listens on all interfaces.
func ListenAddress(value string) (string, error) {
	host, port, err := net.SplitHostPort(value)
	if _, notNumber := strconv.ParseUint(port, 10, 16); err != nil || notNumber != nil {
		return "", errors.New("want [host]:port, like :9100, localhost:9100 or 0.0.0.0:9100")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Contents returns value, or the content of the file when value is @FILE, so that passwords need not be on a command
// line or in the environment. It warns when a file with a password is readable by other users.
func Contents(value string) (text, warning string, err error) {
	name, ok := strings.CutPrefix(value, "@")
	if !ok {
		return value, "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", "", err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return "", "", err
	}
	const posix = os.PathSeparator == '/'
	if mode := info.Mode().Perm(); posix && mode&0o044 != 0 && bytes.Contains(content, []byte("password")) {
		warning = fmt.Sprintf("%s has a password, and its mode %#o lets others read it: chmod 600 it", name, mode)
	}
	return string(bytes.TrimSpace(content)), warning, nil
}

// ReplicationFactor parses a number of replicas.
func ReplicationFactor(value string) (int, error) {
	n, err := strconv.ParseInt(value, 10, 16)
	if err != nil || n < 1 {
		return 0, errors.New("want a number from 1, no larger than the number of brokers")
	}
	return int(n), nil
}

// Duration parses a positive duration.
func Duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, errors.New("want a duration above zero, like 30s or 2m")
	}
	return d, nil
}
