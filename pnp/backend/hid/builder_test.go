// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"slices"

	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

// The devices that the tests use, fake and real.
var (
	withoutIDs = hidreporttest.Vendor(hidreporttest.Input(0, 8), hidreporttest.Output(0, 6), hidreporttest.Feature(0, 4))
	withIDs    = hidreporttest.Vendor(
		hidreporttest.Input(1, 3), hidreporttest.Output(1, 2), hidreporttest.Feature(1, 5),
		hidreporttest.Input(2, 7), hidreporttest.Output(2, 4), hidreporttest.Feature(2, 1),
		hidreporttest.Feature(200, 9))
	large       = hidreporttest.Vendor(hidreporttest.Input(0, 4000), hidreporttest.Output(0, 4000), hidreporttest.Feature(0, 4000))
	featureOnly = hidreporttest.Vendor(hidreporttest.Feature(7, 16))
	// collections has two top-level collections, which Windows makes two devices of.
	collections = slices.Concat(
		hidreporttest.Vendor(hidreporttest.Input(1, 3), hidreporttest.Output(1, 2), hidreporttest.Feature(1, 4)),
		hidreporttest.Vendor(hidreporttest.Input(2, 9), hidreporttest.Input(3, 1), hidreporttest.Output(2, 9), hidreporttest.Output(3, 1), hidreporttest.Feature(2, 9)),
	)
	// together has two that are one device, as no id tells them apart. Windows refuses it.
	together = slices.Concat(hidreporttest.Vendor(hidreporttest.Input(1, 3)), hidreporttest.Vendor(hidreporttest.Input(1, 4), hidreporttest.Input(2, 1)))
	// bytewise has reports of one byte, which tests use as a stream of bytes.
	bytewise = hidreporttest.Vendor(hidreporttest.Input(0, 1), hidreporttest.Output(0, 8), hidreporttest.Feature(0, 8))
)
