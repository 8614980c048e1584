// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest/requirements"
)

// registered holds the tests of each requirement by its id.
var registered = requirements.Tests{File: "testdata/requirements.csv"}

// add registers f as a test of the requirement id. It is called from init functions.
func add(id, name string, f func(t *testing.T)) { registered.Add(id, name, f) }

// TestRequirements runs every registered test as <id>_<name>.
func TestRequirements(t *testing.T) { registered.Run(t) }

// TestEveryRequirementHasATest: and every test has a requirement.
func TestEveryRequirementHasATest(t *testing.T) { registered.Complete(t, nil) }
