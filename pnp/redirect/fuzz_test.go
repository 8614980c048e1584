// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"reflect"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp/backend/kinds"
)

// FuzzParseOptions holds that the options of /dvc:pnpdr leave every limit within
// bounds, and that each problem has its reason.
func FuzzParseOptions(f *testing.F) {
	for _, line := range []string{
		"loopback,file:/img,ro", "auto,max-reply:64K,max-session-bytes:1", "max-handles:9223372036854775808,max-event:-1",
		"max-requests:,max-devices:0x1", "help,,usb:0403:*,handles:2", "max-handle-bytes:9007199254740991K",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		o := ParseOptions(strings.Split(line, ","), kinds.All())
		for i := range limits {
			n := reflect.ValueOf(limits[i].field(&o.Limits)).Elem().Int()
			if n < limits[i].least {
				t.Errorf("%s is %d", limits[i].key, n)
			}
		}
		for _, p := range o.Problems {
			if p.Err == nil || p.Err.Error() == "" {
				t.Errorf("no reason for %q", p.Option)
			}
		}
	})
}
