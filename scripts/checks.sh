# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Functions for the stages of scripts/test. They count tests in
# $logs/$stage.counts, and write the reason of each skip to $logs/skips.
# shellcheck disable=SC2154 # what scripts/test sets

# Versions that need no newer Go than go.mod asks for.
gotestsum_tool=gotest.tools/gotestsum@v1.12.3
# shellcheck disable=SC2034
staticcheck_tool=honnef.co/go/tools/cmd/staticcheck@v0.6.1

# sources REGEXP: the files of the project whose path matches.
sources() {
	local file
	{
		git -c safe.directory='*' ls-files --cached --others --exclude-standard 2>/dev/null ||
			find . -type f -not -path './.git/*' -not -path './out/*' -printf '%P\n'
	} | grep -v '^vendor/' | grep -E "$1" | while IFS= read -r file; do
		[ ! -f "$file" ] || printf '%s\n' "$file" # git lists deleted ones too
	done
}

# go_tool PACKAGE@VERSION: fetches a program written in Go once; prints its path.
go_tool() {
	local dir
	dir=$out/tools/$(go env GOVERSION)/${1##*/}
	[ -n "$(ls "$dir" 2>/dev/null)" ] || GOBIN=$dir go install "$1" >&2 || return 1
	printf '%s' "$dir"/*
}

# go_test ARGS...: "go test" without its cache, which does not know what tests
# build and start themselves.
go_test() { gotestsum -- -count=1 -timeout 10m "${short[@]}" "$@"; }

# gotestsum ARGS...: runs tests and counts them. The program's own number of failures
# includes packages that do not build, or exit.
gotestsum() {
	local json=$logs/$stage.json rc=0 passed failed skipped
	# shellcheck disable=SC2016 # its variables
	"$(go_tool "$gotestsum_tool")" --format pkgname --format-icons text --format-hide-empty-pkg \
		--hide-summary skipped --jsonfile "$json" \
		--post-run-command 'sh -c "echo $TESTS_FAILED >$GOTESTSUM_JSONFILE.failed"' "$@" || rc=$?
	passed=$(grep -c '"Action":"pass".*"Test":' "$json" || true)
	skipped=$(grep -c '"Action":"skip".*"Test":' "$json" || true)
	failed=$(cat "$json.failed")
	count "$passed" "$failed" "$skipped"
	# The reason of a skip is the last thing that the test said.
	jq -rs 'map(select(.Test)) | group_by([.Package, .Test])[] | select(any(.Action == "skip")) |
		[.[].Output // "" | capture("\\.go:\\d+: (?<reason>.*)").reason] | last // "no reason given"' \
		"$json" >>"$logs/skips"
	[ "$passed$failed$skipped" != 000 ] || fail "no tests"
	return "$rc"
}

# count PASSED FAILED SKIPPED
count() { printf '%s\n' "$*" >>"$logs/$stage.counts"; }

# check NAME COMMAND...: one of several checks in a stage.
check() {
	local name=$1
	shift
	if "$@"; then
		printf 'ok    %s\n' "$name"
		count 1 0 0
	else
		printf 'FAIL  %s\n' "$name"
		count 0 1 0
		return 1
	fi
}

# each_major FUNCTION: checks it with each major.
each_major() {
	local major rc=0
	for major in 3 2; do
		if has_dev "$major"; then
			check "FreeRDP $major" "$1" "$major" || rc=1
		else
			skipped "no headers of FreeRDP $major"
		fi
	done
	return "$rc"
}

skipped() {
	printf 'SKIPPED: %s\n' "$1"
	printf '%s\n' "$1" >>"$logs/skips"
	count 0 0 1
}

# fail LINE...: ends the stage.
fail() {
	printf '%s\n' "$@"
	exit 1
}

# skip REASON: ends the stage.
skip() {
	skipped "$1"
	exit 0
}

# can WHAT COMMAND...: ends the stage if the command exits with 77; the reason is
# the last line that it prints.
can() {
	local what=$1 rc=0
	shift
	"$@" >"$logs/can.out" 2>"$logs/can.err" || rc=$?
	cat "$logs/can.err"
	[ "$rc" -ne 77 ] || skip "NOT TESTED: $what: $(tail -n 1 "$logs/can.err")"
	return "$rc"
}
