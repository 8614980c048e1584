// SPDX-License-Identifier: Apache-2.0

package hid

import "freerdp-pnpdr/pnp/internal/hidreport"

// Kind is the kind of a report.
type Kind = hidreport.Kind

// The kinds of reports.
const (
	Input   = hidreport.Input
	Output  = hidreport.Output
	Feature = hidreport.Feature

	kinds = hidreport.Kinds
)
