//go:build !unix

package apache

import "errors"

// Pause is implemented for Unix only.
func (c *Cluster) Pause(int) error { return errors.ErrUnsupported }

// Resume is implemented for Unix only.
func (c *Cluster) Resume(int) error { return errors.ErrUnsupported }
