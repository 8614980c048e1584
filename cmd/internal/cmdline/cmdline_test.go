// SPDX-License-Identifier: Apache-2.0

package cmdline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args   []string
		err    error
		status int
		says   string
	}{
		{nil, nil, OK, ""},
		{nil, errors.New("no"), Usage, "meter: no; see meter --help\n"},
		{[]string{"--bogus"}, nil, Usage, "meter: unknown flag: --bogus; see meter --help\n"},
		{nil, Failure(errors.New("no\x1b")), Failed, "meter: no\uFFFD\n"},
		{nil, fmt.Errorf("reading: %w", Exit{7, errors.New("no")}), 7, "meter: reading: no\n"},
		{nil, Exit{Status: 7}, 7, ""},
	} {
		var out, errs bytes.Buffer
		root := &cobra.Command{Use: "meter", RunE: func(*cobra.Command, []string) error { return c.err }}
		require.Equal(t, c.status, Run(context.Background(), root, c.args, &out, &errs))
		require.Equal(t, c.says, errs.String())
		require.Empty(t, out.String())
	}
}
