// Package archtest holds the project to the arrows of its design: which package may import which. It has tests only.
package archtest
