// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const scheme = "pnpdr://"

// destination is what a queue prints on.
type destination struct {
	user string
	name string // of the printer's folder
}

// parse takes a device URI apart: pnpdr://USER/NAME.
func parse(uri string) (destination, error) {
	d, err := parts(uri)
	if err != nil {
		return destination{}, fmt.Errorf("the device URI %q is not %sUSER/NAME: %w", uri, scheme, err)
	}
	return d, nil
}

func parts(uri string) (d destination, err error) {
	rest, ok := strings.CutPrefix(uri, scheme)
	if !ok {
		return d, errors.New("it begins otherwise")
	}
	if strings.ContainsAny(rest, "?#") {
		return d, errors.New("it has a query or fragment")
	}
	user, name, _ := strings.Cut(rest, "/")
	if d.user, err = unescape(user); err != nil {
		return d, err
	}
	if d.name, err = unescape(name); err != nil {
		return d, err
	}
	switch {
	case d.user == "" || strings.HasPrefix(d.user, "-") || strings.ContainsAny(d.user, "/:"):
		return d, fmt.Errorf("%q is not a user", d.user)
	// Folders of devices never begin with a dot.
	case d.name == "" || strings.HasPrefix(d.name, ".") || strings.Contains(d.name, "/"):
		return d, fmt.Errorf("%q is not a printer", d.name)
	}
	return d, nil
}

func unescape(s string) (string, error) {
	s, err := url.PathUnescape(s)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("%q has control characters, or is not UTF-8", s)
	}
	return s, nil
}

// String returns the device URI.
func (d destination) String() string { return scheme + escape(d.user) + "/" + escape(d.name) }

// escape leaves only characters that mean nothing in any part of a URI.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
