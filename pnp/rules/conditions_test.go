// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConditions(t *testing.T) {
	keys := []string{"vid", "pid", "product"}
	r, err := Conditions("vid=0403+product=ft232r*", keys...)
	require.NoError(t, err)
	require.True(t, r.Matches(meter))
	require.False(t, r.Matches(scanner))
	require.False(t, r.Deny)

	for text, want := range map[string]string{
		"":                `there is no ""`,
		"vid":             `needs a value`,
		"vid=0403+vid=*":  `"vid" is given twice`,
		"vid=x":           "vid:",
		"produkt=x":       `did you mean "product"`,
		"node=/dev/x":     `there is no "node" here, only vid, pid, product`,
		"allow+vid=0403":  `there is no "allow"`,
		"vid=0403+":       `there is no ""`,
		"vid=0403+name=x": `there is no "name"`,
	} {
		_, err := Conditions(text, keys...)
		require.ErrorContains(t, err, want, text)
	}
}
