// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"maps"
	"slices"
)

// didYouMean suggests the word that was probably meant, as ` (did you mean
// "vid"?)`, or nothing if none is near.
func didYouMean(word string, words []string) string {
	if w := Nearest(word, words); w != "" {
		return fmt.Sprintf(" (did you mean %q?)", w)
	}
	return ""
}

// Nearest returns the word with the least edit distance, the first of equals;
// "" if all differ in more than a third of their letters, or two.
func Nearest(word string, words []string) string {
	if len(word) > 64 {
		return ""
	}
	best, least := "", -1
	for _, w := range slices.Sorted(slices.Values(words)) {
		d := distance(word, w)
		if d <= max(2, len(w)/3) && d < len(w) && (least < 0 || d < least) {
			best, least = w, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out, changed, or exchanged
// with their neighbour to turn a into b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	d := make([][]int, len(s)+1)
	for i := range d {
		d[i] = make([]int, len(t)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(s)][len(t)]
}

// keys returns the keys of m in order.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
