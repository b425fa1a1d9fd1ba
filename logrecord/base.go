package logrecord

import (
	"os"
	"strings"
)

// Base are the base fields that are equal in all records of an encoder. NewEncoder determines a nil field once; it is
// null in the record if it cannot be determined.
type Base struct {
	// Logger is the logger's name. Defaults to null: slog's loggers have no names.
	Logger *string
	// Hostname defaults to the kernel's host name.
	Hostname *string
	// Service defaults to the hostname without its last two dash-separated parts: shop-api-7d9f-x2k gives shop-api,
	// the name of a pod's deployment. A hostname with one dash loses one part; without a dash the service is
	// "unknown".
	Service *string
	// Namespace defaults to the namespace of the Kubernetes service account.
	Namespace *string
	// Cluster defaults to the environment variable CLUSTER.
	Cluster *string
}

// namespaceFile is the file from which a pod reads its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// found returns b with its nil fields determined from the machine.
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

// serviceOf returns the service of a host: web-api-7c9d-x2x runs web-api.
func serviceOf(hostname string) string {
	parts := strings.Split(hostname, "-")
	if len(parts) == 1 {
		return "unknown"
	}
	return strings.Join(parts[:len(parts)-min(len(parts)-1, 2)], "-")
}

// hide removes the base fields that rename leaves out. It returns those of them whose value differs by record.
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
