// Package canary has no code. Its test prints a value of every type that the public packages export, with secrets
// wherever one can hold them, and none of them comes out.
package canary
