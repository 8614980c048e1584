// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"os"
	"strings"
	"testing"
)

func init() {
	add("S-27", "docs_say_which_products_have_the_server_side", func(t *testing.T) {
		b, err := os.ReadFile("../../docs/specification.md")
		if err != nil {
			t.Fatal(err)
		}
		_, section, found := strings.Cut(string(b), "\n## Windows\n")
		if !found {
			t.Fatal("there is no section on Windows")
		}
		section, _, _ = strings.Cut(section, "\n## ")
		section = strings.Join(strings.Fields(section), " ")
		has, not, found := strings.Cut(section, "Named as applicable, but not in that note")
		if !found {
			t.Fatal("it does not say which products are not in note 1")
		}
		for _, product := range []string{"note 1", "Windows 10", "Server 2019", "Server 2016", "Vista"} {
			if !strings.Contains(has, product) {
				t.Errorf("it does not say that %s has the server's side", product)
			}
		}
		for _, product := range []string{"Windows 11", "Server 2022", "Server 2025"} {
			if strings.Contains(has, product) || !strings.Contains(not, product) {
				t.Errorf("it does not say that %s is not in note 1", product)
			}
		}
	})
}
