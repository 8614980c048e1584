// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp"
)

// maxData limits the size of one argument, to catch typing errors.
const maxData = 64 << 20

// word is one argument of a command as written, quotes included.
type word string

// splitWords splits a line at blanks that are outside of quotes.
func splitWords(line string) ([]word, error) {
	var words []word
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return words, nil
		}
		n, err := cut(line, " \t")
		if err != nil {
			return nil, err
		}
		words = append(words, word(line[:n]))
		line = line[n:]
	}
}

// cut returns the index of the first separator outside of quotes, or the length
// of s.
func cut(s, separators string) (int, error) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(separators, s[i]) >= 0:
			return i, nil
		}
	}
	if quoted {
		return 0, fmt.Errorf("a quote is not closed in %s", s)
	}
	return len(s), nil
}

// text returns the word without quotes. Backslashes are special only in quotes,
// as in Go's strings.
func (w word) text() (string, error) {
	if !strings.HasPrefix(string(w), `"`) {
		return string(w), nil
	}
	s, err := strconv.Unquote(string(w))
	if err != nil {
		return "", fmt.Errorf("%s is not a text in quotes", w)
	}
	return s, nil
}

// number reads a decimal or 0x number, or one with K or M behind it.
func (w word) number(bits int) (uint64, error) {
	digits, unit := string(w), uint64(1)
	switch {
	case strings.HasSuffix(digits, "K"):
		digits, unit = digits[:len(digits)-1], 1<<10
	case strings.HasSuffix(digits, "M"):
		digits, unit = digits[:len(digits)-1], 1<<20
	}
	n, err := strconv.ParseUint(digits, 0, bits)
	if err != nil || n > (1<<bits-1)/unit {
		return 0, fmt.Errorf("%s is not a number of %d bits, such as 512, 0x200 or 64K", w, bits)
	}
	return n * unit, nil
}

// length reads a number of bytes.
func (w word) length() (int, error) {
	n, err := w.number(32)
	if err == nil && n > maxData {
		err = fmt.Errorf("%s bytes are too many, %d is the most", w, maxData)
	}
	return int(n), err
}

// data returns the bytes that the word describes, in the way that the help says.
func (w word) data() ([]byte, error) {
	var data []byte
	for rest := string(w); ; {
		n, err := cut(rest, "+")
		if err != nil {
			return nil, err
		}
		part, err := word(rest[:n]).datum()
		if err != nil {
			return nil, err
		}
		if len(data)+len(part) > maxData {
			return nil, fmt.Errorf("more than %d bytes of data", maxData)
		}
		data = append(data, part...)
		if n == len(rest) {
			return data, nil
		}
		rest = rest[n+1:]
	}
}

// datum is data without a +.
func (w word) datum() ([]byte, error) {
	if strings.HasPrefix(string(w), `"`) {
		s, err := w.text()
		return []byte(s), err
	}
	kind, value, _ := strings.Cut(string(w), ":")
	switch kind {
	case "hex":
		b, err := hex.DecodeString(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
		return b, nil
	case "u32":
		n, err := word(value).number(32)
		return binary.LittleEndian.AppendUint32(nil, uint32(n)), err
	case "guid":
		g, err := pnp.ParseGUID(value)
		return g[:], err
	case "file":
		path, err := word(value).text()
		if err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	case "zero":
		n, err := word(value).length()
		return make([]byte, n), err
	case "random":
		n, err := word(value).length()
		return random(n), err
	}
	return nil, fmt.Errorf("%s is not data: text is written in quotes, bytes as hex:00FF", w)
}

// random returns n bytes that look random and are the same each time, so that
// what was written can be expected back.
func random(n int) []byte {
	source := rand.NewPCG(1, 2)
	b := make([]byte, 0, n+7)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, source.Uint64())
	}
	return b[:n]
}
