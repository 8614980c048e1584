# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Functions that the scripts here share; to be sourced, not run.
#
# As root they install missing Debian packages, and do not call apt if none is
# missing; they never edit apt's configuration. As a normal user they only say
# what to install.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Everything that is built goes here. "cmake -B out" writes the same files to the
# same folder, so it does not matter which of the two built a file.
# shellcheck disable=SC2034
out=$root/out

say() { printf '%s\n' "$@" >&2; }
die() {
	say "$(basename "$0"): $*"
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# ---------------------------------------------------------------- packages --

# run_apt ARGS...: runs apt-get without questions, and shows its output only if it
# fails.
run_apt() {
	local log
	log=$(DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" 2>&1 </dev/null) || {
		tail -n 5 <<<"$log" | sed 's/^/  apt: /' >&2
		return 1
	}
}

# apt_update: at most once in a run. If it fails, the old lists may do.
apt_updated=
apt_update() {
	[ -n "$apt_updated" ] || run_apt update || true
	apt_updated=yes
}

# apt_install DEPENDENCY...: installs, as root, what is given in the syntax of a
# package's Depends, from the suite or else with its backports.
apt_install() {
	say "installing: $*"
	apt_update
	run_apt satisfy "$@" 2>/dev/null || backports_install "$@"
}

suite() { . /etc/os-release && printf '%s' "${VERSION_CODENAME:-}"; }

# apt_mirror: the mirror that this machine gets its suite from.
apt_mirror() {
	# $(RELEASE) and $(REPO_URI) are apt's.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk -v s="$(suite)" '($1 == s || $1 ~ /^(old)?stable$/) && !u { print u = $2 } END { exit !u }'
}

# backports_install DEPENDENCY...: lets apt use the suite's backports this once, from
# the same mirror, whether or not they are enabled on this machine.
backports_install() {
	local mirror dir rc=0
	say "trying with backports"
	mirror=$(apt_mirror) || {
		say "apt has no mirror of $(suite)"
		return 1
	}
	dir=$(mktemp -d)
	find /etc/apt/sources.list.d \( -name '*.list' -o -name '*.sources' \) -exec cp -L {} "$dir" \;
	printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s-backports main\n' \
		"$mirror" "$(suite)" >"$dir/pnpdr-backports.list"
	chmod -R a+rX "$dir" # for apt's own user
	run_apt -o Dir::Etc::sourceparts="$dir" update &&
		run_apt -o Dir::Etc::sourceparts="$dir" satisfy "$@" || rc=$?
	rm -rf "$dir"
	return "$rc"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# need_packages ITEM...: ITEM is a Debian package, or package:command if having the
# command is enough, wherever it came from.
need_packages() {
	local item missing=()
	for item in "$@"; do
		have "${item#*:}" || installed "${item%:*}" || missing+=("${item%:*}")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	if ! have apt-get; then
		say "this is not Debian: please install what these packages contain: ${missing[*]}"
	elif is_root; then
		apt_install "${missing[@]}"
	else
		say "missing packages, please run: sudo apt-get install --no-install-recommends ${missing[*]}"
		return 1
	fi
}

# want_packages ITEM...: as need_packages, but what is missing is not needed.
want_packages() { need_packages "$@" || say "going on without these"; }

# ----------------------------------------------------------------- FreeRDP --

# has_dev MAJOR: whether pkg-config finds its headers and all that they depend on.
has_dev() { have pkg-config && pkg-config --exists "freerdp$1" "winpr$1"; }

# dev_reason MAJOR: what keeps pkg-config from finding them.
dev_reason() { (pkg-config --print-errors --short-errors --exists "freerdp$1" "winpr$1" || true) 2>&1 | sed 's/^/  /'; }

# freerdp_dev_majors: the majors with headers, newest first. It warns of headers
# that are installed but depend on a package that is not.
freerdp_dev_majors() {
	local major found=()
	for major in 3 2; do
		if has_dev "$major"; then
			found+=("$major")
		elif ! dev_reason "$major" | grep -qE "[Pp]ackage '?freerdp$major'?(,| was| found)"; then
			say "the headers of FreeRDP $major are installed, but cannot be used:" "$(dev_reason "$major")"
		fi
	done
	printf '%s' "${found[*]}"
}

no_freerdp_headers() {
	say "pkg-config:" "$(dev_reason 3)" "$(dev_reason 2)"
	die "no FreeRDP headers that can be used: install freerdp3-dev (and zlib1g-dev) or freerdp2-dev"
}

# client_for_major MAJOR: the name of its xfreerdp. "xfreerdp" is either major,
# depending on the distribution, and 2.x does not print its version without a
# display, so look at what it is linked with.
client_for_major() {
	local name
	for name in "xfreerdp$1" xfreerdp; do
		case $(ldd "$(command -v "$name")" 2>/dev/null) in
		*"libfreerdp$1.so"*) printf '%s' "$name" && return ;;
		esac
	done
	return 1
}

newest_client() { client_for_major 3 || client_for_major 2; }

# tags_for_major MAJOR: the Go build tags that choose its headers.
tags_for_major() { [ "$1" != 2 ] || printf freerdp2; }

# need_freerdp newest|both: installs clients and headers. One major is enough to
# work with; tests want both, and say so if one is missing.
need_freerdp() {
	local major packages
	for major in 3 2; do
		packages=("freerdp$major-x11" "freerdp$major-dev")
		# freerdp3-dev of Debian 12 and 13 lacks a dependency that its
		# pkg-config file needs.
		[ "$major" = 2 ] || packages+=(zlib1g-dev)
		if has_dev "$major" && client_for_major "$major" >/dev/null; then
			:
		elif ! have apt-get || ! is_root; then
			say "FreeRDP $major is not installed: going on without it (on Debian: ${packages[*]}; Debian 12 has FreeRDP 3 in its backports)"
		elif ! apt_install "${packages[@]}"; then
			say "FreeRDP $major cannot be installed from this suite: going on without it"
		fi
		if [ "$1" = newest ] && has_dev "$major" && newest_client >/dev/null; then
			return
		fi
	done
	[ -n "$(freerdp_dev_majors)" ] || no_freerdp_headers
	newest_client >/dev/null || say "no xfreerdp client: what needs one cannot run"
}

# ---------------------------------------------------------------------- Go --

wanted_go() { awk '$1 == "go" { print $2 }' "$root/go.mod"; }

# find_go: the first Go that can build this module, on PATH or elsewhere. It is asked
# inside the module, where it fetches the toolchain named in go.mod if it may.
find_go() {
	local go version
	for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go*/bin/go "${HOME:-/}"/sdk/go*/bin/go; do
		version=$(cd "$root" && "$go" env GOVERSION 2>/dev/null) || continue
		if printf 'go%s\n%s\n' "$(wanted_go)" "${version%% *}" | sort -CV; then
			printf '%s' "$go"
			return
		fi
	done
	return 1
}

# need_go: puts a Go that can build this module first on PATH.
need_go() {
	local go wanted
	wanted=$(wanted_go)
	if ! go=$(find_go); then
		if ! have apt-get || ! is_root; then
			die "no Go $wanted or newer (on Debian: golang-go, on Debian 12 from its backports)"
		fi
		apt_install "golang-go (>= 2:$wanted~) | golang-$wanted-go" || true
		go=$(find_go) || die "no Go $wanted or newer can be installed from this suite"
	fi
	PATH=$(dirname "$go"):$PATH
	# In a clone that belongs to another user git, and so go, gives up. And two
	# builds of the same source should give the same file.
	GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"
	export PATH GOFLAGS
}
