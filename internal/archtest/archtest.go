// Package archtest tests the structure of the module, such as which package may import which. It has tests only.
package archtest
