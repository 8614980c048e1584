// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Conditions reads the conditions of a rule: option, such as "vid=0403+product=Scale*".
// The rule that it returns matches devices and says nothing else. Only these keys may be
// used: the caller may know less of a device than discovery does.
func Conditions(text string, allowed ...string) (*Rule, error) {
	r := &Rule{Source: text}
	for _, word := range strings.Split(text, "+") {
		key, pattern, ok := strings.Cut(word, "=")
		switch {
		case !slices.Contains(allowed, key):
			return nil, fmt.Errorf("there is no %q here, only %s%s", key, strings.Join(allowed, ", "), didYouMean(key, allowed))
		case !ok:
			return nil, fmt.Errorf("%q needs a value, as in %s=VALUE", key, key)
		case r.has(key):
			return nil, fmt.Errorf("%q is given twice", key)
		}
		if err := r.require(key, unescapeValue.Replace(pattern)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// has reports whether the rule has a condition for key.
func (r *Rule) has(key string) bool {
	return slices.ContainsFunc(r.conditions, func(c condition) bool { return c.key == key })
}
