# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts beside it; meant to be sourced, not run.
#
# What it does to a machine: as root it installs the Debian packages that are
# missing, and nothing when none is; it never edits apt's configuration. As a
# normal user it only says what to install.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Everything that is built goes here. "cmake -B out" uses the same folder and
# the same file names, so that whatever looks for out/libpnpdr-client.so finds
# it whichever of the two made it.
# shellcheck disable=SC2034
out=$root/out

say() { printf '%s\n' "$*" >&2; }
die() {
	say "$(basename "$0"): $*"
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# ---------------------------------------------------------------- packages --

# run_apt ARGS...: apt-get without questions; its chatter is shown only if it
# fails.
run_apt() {
	local log rc=0
	log=$(mktemp)
	DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 </dev/null || rc=$?
	if [ "$rc" -ne 0 ]; then
		sed 's/^/  apt: /' "$log" | tail -n 15 >&2
	fi
	rm -f "$log"
	return "$rc"
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# candidate PACKAGE: the version apt would install, nothing if there is none.
candidate() {
	LC_ALL=C apt-cache policy "$1" 2>/dev/null |
		sed -n 's/^  Candidate: //p' | grep -vx '(none)' || true
}

# apt_refreshed: at most one "apt-get update" per run of a script.
apt_refreshed=
refresh_apt() {
	[ -z "$apt_refreshed" ] || return 0
	apt_refreshed=yes
	say "refreshing the package lists"
	run_apt update
}

# offered PACKAGE: can apt install it? Lists that were never fetched (a fresh
# container) look like a package that does not exist, hence the refresh.
offered() {
	[ -n "$(candidate "$1")" ] && return
	if is_root; then
		refresh_apt || true
	fi
	[ -n "$(candidate "$1")" ]
}

all_offered() {
	local p
	for p in "$@"; do
		offered "$p" || return 1
	done
}

# install_packages PACKAGE...: as root. Outdated lists name files that the
# mirror no longer has: that is worth one refresh and a second try.
install_packages() {
	local p
	for p in "$@"; do
		offered "$p" || say "apt knows no package $p"
	done
	say "installing: $*"
	if [ -n "$apt_refreshed" ]; then
		run_apt install --no-install-recommends "$@"
	else
		run_apt install --no-install-recommends "$@" ||
			{ refresh_apt && run_apt install --no-install-recommends "$@"; }
	fi
}

# need_packages ITEM...: ITEM is a Debian package, or package:command where the
# command alone will do, wherever it came from.
need_packages() {
	local item package missing=()
	for item in "$@"; do
		package=${item%%:*}
		if [ "$item" != "$package" ] && have "${item#*:}"; then
			continue
		fi
		if have dpkg-query && installed "$package"; then
			continue
		fi
		missing+=("$package")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	if ! have apt-get; then
		# Other distributions name things differently; the build will say
		# what it lacks.
		say "this is no Debian: please see to it that you have what these packages hold: ${missing[*]}"
		return 0
	fi
	if is_root; then
		install_packages "${missing[@]}"
		return
	fi
	say "missing packages, please run: sudo apt-get install --no-install-recommends ${missing[*]}"
	return 1
}

# --------------------------------------------------------------- backports --

# with_backports PACKAGE...: install from the suite's backports even where the
# user has not enabled them, leaving apt's configuration as it is. The mirror
# is the one in use: nothing here names a host.
with_backports() {
	local suite targets uri tmp prefer=() rc=0
	suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	[ -n "$suite" ] || return 1
	# Where the suite has an older version, apt has to be told to prefer the
	# newer one, and then does so for what it depends on. Otherwise that keeps
	# coming from the suite.
	if [ -n "$(candidate "$1")" ]; then
		prefer=(-t "$suite-backports")
	fi
	targets=$(apt_targets) || return 1
	if grep -q "^$suite-backports " <<<"$targets"; then
		# Enabled already: a second entry for it would be an error.
		refresh_apt && run_apt install --no-install-recommends "${prefer[@]}" "$@"
		return
	fi
	uri=$(apt_mirror) || return 1
	# apt reads these as its own unprivileged user.
	tmp=$(mktemp -d) && chmod 755 "$tmp" || return 1
	backports_install "$tmp" "$suite" "$uri" "${prefer[@]}" "$@" || rc=$?
	rm -rf "$tmp"
	return "$rc"
}

apt_targets() {
	# $(RELEASE) and $(REPO_URI) are apt's, not the shell's.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null
}

# apt_mirror: where this machine gets its suite from.
apt_mirror() {
	local suite uri
	suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	uri=$(apt_targets | awk -v s="$suite" '($1 == s || $1 == "stable" || $1 == "oldstable") && !u { u = $2 } END { print u }')
	[ -n "$uri" ] && printf '%s\n' "$uri"
}

# backports_install TMP SUITE URI ARGS...: the last for apt-get install.
backports_install() {
	local tmp=$1 suite=$2 uri=$3 keys=/usr/share/keyrings/debian-archive-keyring.gpg
	shift 3
	[ -e "$keys" ] || return 1
	mkdir -m 755 "$tmp/only" "$tmp/all"
	printf 'deb [signed-by=%s] %s %s-backports main\n' "$keys" "$uri" "$suite" \
		>"$tmp/only/pnpdr-backports.list"
	find /etc/apt/sources.list.d -maxdepth 1 \( -name '*.list' -o -name '*.sources' \) \
		-exec cp -L {} "$tmp/all/" \; 2>/dev/null || true
	cp "$tmp/only/pnpdr-backports.list" "$tmp/all/"
	chmod 644 "$tmp"/only/* "$tmp"/all/*
	# The dependencies come from the suite proper, whose lists a fresh
	# container may lack. Then fetch the backports' list alone, without
	# throwing the others away.
	refresh_apt || true
	run_apt update -o Dir::Etc::sourcelist="$tmp/only/pnpdr-backports.list" \
		-o Dir::Etc::sourceparts=/dev/null -o APT::Get::List-Cleanup=0 || return 1
	run_apt install --no-install-recommends \
		-o Dir::Etc::sourceparts="$tmp/all" "$@"
}

# ----------------------------------------------------------------- FreeRDP --

# has_dev MAJOR: are its headers there, with all that pkg-config wants?
has_dev() { have pkg-config && pkg-config --exists "freerdp$1" "winpr$1"; }

# freerdp_packages MAJOR: client and headers. freerdp3-dev forgets to depend on
# what its pkg-config file requires; without it cgo does not find FreeRDP.
freerdp_packages() {
	printf 'freerdp%s-x11 freerdp%s-dev' "$1" "$1"
	if [ "$1" = 3 ]; then
		printf ' zlib1g-dev'
	fi
}

# freerdp_dev_majors: the majors with headers, newest first.
freerdp_dev_majors() {
	local major found=()
	for major in 3 2; do
		if has_dev "$major"; then
			found+=("$major")
		fi
	done
	printf '%s' "${found[*]}"
}

# client_for_major MAJOR: the name of its xfreerdp. "xfreerdp" is either major,
# depending on the distribution; 2.x tells its version to nobody who has no
# display, so ask what it is linked with.
client_for_major() {
	local name path
	for name in "xfreerdp$1" xfreerdp; do
		path=$(command -v "$name") || continue
		case $(ldd "$path" 2>/dev/null) in
		*"libfreerdp$1.so"*)
			printf '%s' "$name"
			return 0
			;;
		esac
	done
	return 1
}

newest_client() { client_for_major 3 || client_for_major 2; }

# tags_for_major MAJOR: the Go build tags that choose its headers.
tags_for_major() {
	if [ "$1" = 2 ]; then
		printf freerdp2
	fi
}

# install_freerdp MAJOR: client and headers of that major, from the suite or,
# for FreeRDP 3, from its backports.
install_freerdp() {
	local packages
	read -r -a packages <<<"$(freerdp_packages "$1")"
	if all_offered "${packages[@]}"; then
		install_packages "${packages[@]}"
	elif [ "$1" = 3 ]; then
		say "installing from backports: ${packages[*]}"
		with_backports "${packages[@]}"
	else
		return 1
	fi
}

# need_freerdp newest|both: one major will do to work with, both to test. A
# major that cannot be had costs one line, not the run; none at all does.
need_freerdp() {
	local want=$1 major
	for major in 3 2; do
		if has_dev "$major" && client_for_major "$major" >/dev/null; then
			:
		elif ! have apt-get; then
			say "FreeRDP $major is not installed: going on without it"
		elif ! is_root; then
			say "FreeRDP $major is not installed: going on without it (sudo apt-get install $(freerdp_packages "$major"); Debian 12 has FreeRDP 3 in its backports)"
		elif ! install_freerdp "$major"; then
			say "FreeRDP $major cannot be had from this suite: going on without it"
		elif ! has_dev "$major"; then
			say "FreeRDP $major is installed, but: $(pkg-config --print-errors --exists "freerdp$major" "winpr$major" 2>&1 | tail -n 1)"
		fi
		if [ "$want" = newest ] && has_dev "$major" && newest_client >/dev/null; then
			return 0
		fi
	done
	[ -n "$(freerdp_dev_majors)" ] || die "no FreeRDP headers: install freerdp3-dev or freerdp2-dev"
	newest_client >/dev/null || say "no xfreerdp client: what needs one cannot run"
}

# ---------------------------------------------------------------------- Go --

# go_fits GO: can it build this module? Asked inside the module, a Go that may
# fetch the toolchain that go.mod names (GOTOOLCHAIN=auto) does so now.
go_fits() {
	local want got
	[ -x "$1" ] || return 1
	want=$(awk '$1 == "go" { print $2; exit }' "$root/go.mod")
	got=$(cd "$root" && "$1" env GOVERSION 2>/dev/null) || return 1
	got=${got#go}
	[ -n "$got" ] && [ "$(printf '%s\n' "$want" "${got%% *}" | sort -V | head -n 1)" = "$want" ]
}

# find_go: the first Go that fits; installations that are not on PATH count.
find_go() {
	local go
	for go in "$(command -v go || true)" /usr/local/go/bin/go \
		/usr/lib/go/bin/go /usr/lib/go-*/bin/go "${HOME:-/}"/sdk/go*/bin/go; do
		if [ -n "$go" ] && go_fits "$go"; then
			printf '%s' "$go"
			return 0
		fi
	done
	return 1
}

# need_go: put a Go that fits first on PATH.
need_go() {
	local go
	if ! go=$(find_go); then
		have apt-get || die "no Go toolchain that is new enough for go.mod"
		is_root || die "no Go toolchain that is new enough for go.mod (on Debian: sudo apt-get install golang-go, on Debian 12 from bookworm-backports)"
		install_go || die "could not install a Go toolchain that is new enough for go.mod"
		go=$(find_go) || die "the Go toolchain of this suite is too old for go.mod"
	fi
	PATH=$(dirname "$go"):$PATH
	# A clone that belongs to another user makes git, and then go, give up;
	# and two builds of the same source should be the same file.
	GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"
	export PATH GOFLAGS
}

# install_go: the suite's own Go if it is new enough, else the backports'.
install_go() {
	local want version
	want=$(awk '$1 == "go" { print $2; exit }' "$root/go.mod")
	offered golang-go || true
	version=$(candidate golang-go)
	version=${version#*:}
	if [ -n "$version" ] && dpkg --compare-versions "$version" ge "$want"; then
		install_packages golang-go
	else
		say "installing from backports: golang-go"
		with_backports golang-go
	fi
}
