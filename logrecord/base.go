package logrecord

import (
	"os"
	"strings"
)

// Base are the base fields that are the same in all records of an encoder. A nil one is found once, by NewEncoder, and
// is null in the record when nothing is found.
type Base struct {
	// Logger is the logger's name. Defaults to null: slog's loggers have no names.
	Logger *string
	// Hostname defaults to the host's name, as the kernel says it.
	Hostname *string
	// Service defaults to the hostname less its last two parts that a dash begins (or one, if there is but one), which is
	// the name of the deployment when the hostname is a pod's; "unknown" when there is no dash.
	Service *string
	// Namespace defaults to that of the Kubernetes service account.
	Namespace *string
	// Cluster defaults to the environment variable CLUSTER.
	Cluster *string
}

// namespaceFile is where Kubernetes tells a pod its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// found returns b with what it leaves open filled in from the machine.
func (b Base) found() Base {
	if b.Hostname == nil {
		if name, err := os.Hostname(); err == nil {
			b.Hostname = &name
		}
	}
	if b.Service == nil {
		name := "unknown"
		if b.Hostname != nil {
			name = serviceOf(*b.Hostname)
		}
		b.Service = &name
	}
	if b.Namespace == nil {
		if text, err := os.ReadFile(namespaceFile); err == nil {
			b.Namespace = new(strings.TrimSpace(string(text)))
		}
	}
	if b.Cluster == nil {
		if name, ok := os.LookupEnv("CLUSTER"); ok {
			b.Cluster = &name
		}
	}
	return b
}

// serviceOf is the name of the service that runs on a host: web-api-7c9d-x2x runs web-api.
func serviceOf(hostname string) string {
	parts := strings.Split(hostname, "-")
	if len(parts) == 1 {
		return "unknown"
	}
	return strings.Join(parts[:len(parts)-min(len(parts)-1, 2)], "-")
}

// hide takes away the base fields that rename leaves out, and returns those that are known with each record only.
func hide(b *Base, rename map[string]string) (hidden uint32) {
	for f, usual := range ownNames() {
		if name, renamed := rename[usual]; !renamed || name != "" {
			continue
		}
		switch own(f) {
		case ownLogger:
			b.Logger = nil
		case ownHostname:
			b.Hostname = nil
		case ownService:
			b.Service = nil
		case ownNamespace:
			b.Namespace = nil
		case ownCluster:
			b.Cluster = nil
		case ownException, ownTrace, ownStack:
			hidden |= 1 << f
		}
	}
	return hidden
}
