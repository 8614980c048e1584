# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The stages of scripts/test, in the order in which they run. Each is a function
# behind a line that begins with ##: its name, "(slow)" if --fast leaves it out,
# and what it does, as scripts/test --list prints it.
#
# A stage runs in a subshell, in the top folder, and ends at its first failing
# command. $tags chooses the headers of the newest FreeRDP here; $logs is the folder
# for logs.
# shellcheck disable=SC2154 # what scripts/test sets

## build          run scripts/build, which prints no warnings
stage_build() {
	scripts/build 2>&1 | tee "$logs/build.log"
	! grep -q 'warning:' "$logs/build.log" || fail "there are warnings"
}

## gofmt          format of the Go files
stage_gofmt() {
	local bad
	bad=$(sources '\.go$' | xargs -d '\n' gofmt -l)
	[ -z "$bad" ] || fail "not formatted:" "$bad"
}

## clang-format   format of the C files
stage_clang_format() {
	have clang-format || skip "clang-format is not installed"
	sources '\.[ch]$' | xargs -d '\n' clang-format --style=file --dry-run --Werror
}

## spdx           licence line in every file that can have one
stage_spdx() {
	sources . | grep -vP '^(LICENSE|go\.sum)$|/testdata/(?!.*\.(go|c|h)$)|\.(csv|json)$' |
		xargs -d '\n' awk '
			FNR <= 3 && /SPDX-License-Identifier: Apache-2.0/ { has[FILENAME] }
			END {
				for (i = 1; i < ARGC; i++)
					if (!(ARGV[i] in has)) { print ARGV[i] ": no SPDX line"; bad = 1 }
				exit bad
			}'
}

## shellcheck     shell scripts
stage_shellcheck() {
	have shellcheck || skip "shellcheck is not installed"
	sources '^(scripts|\.ci|build/cups)/' | xargs -d '\n' grep -lE '^(#!.*sh|# shellcheck shell=.*)$' |
		xargs -d '\n' shellcheck -x
}

## vet            go vet, with the headers of each FreeRDP
stage_vet() {
	each_major vet_one
	go vet -tags man ./cmd/pnpdr
}
vet_one() { go vet -tags "$(tags_for_major "$1")" ./...; }

## staticcheck    staticcheck
stage_staticcheck() {
	local program
	program=$(go_tool "$staticcheck_tool") || skip "$staticcheck_tool cannot be fetched"
	"$program" -tags "$tags" ./...
}

## abi            layouts that the plugin relies on, in the headers of each FreeRDP
stage_abi() { each_major abi_one; }
abi_one() {
	# shellcheck disable=SC2046
	"${CC:-cc}" -fsyntax-only -Wall -Wextra -Werror $(pkg-config --cflags "freerdp$1" "winpr$1") cshim/client/abicheck.c
}

## unit           all tests, with the race detector
stage_unit() { go_test -race -tags "$tags" ./...; }

## freerdp2       tests of the packages that use FreeRDP's headers, with those of FreeRDP 2
stage_freerdp2() {
	has_dev 2 || skip "no headers of FreeRDP 2"
	go_test -tags freerdp2 ./cshim/... ./plugin/... ./cmd/...
}

## one-cpu        (slow) tests on one processor, where code that spins or needs a second one hangs
stage_one_cpu() { GOMAXPROCS=1 go_test ./channels/... ./pnp/...; }

## srvsvc         (slow) programs of others, Samba's and impacket, that ask the Server Service
stage_srvsvc() {
	want_packages smbclient:rpcclient samba-testsuite:smbtorture python3-impacket
	go_test -race -run '^TestClients$' ./pnp/srvs
}

## cmake          (slow) configure, build, install and uninstall as a packager does
stage_cmake() {
	cmake_with Ninja
	cmake_with "Unix Makefiles"
	cmake_installed
	PNPDR_BUILT=$out/cmake go_test ./build/hardened
	DESTDIR=$out/cmake-root cmake --build "$out/cmake" --target uninstall >"$logs/cmake.log"
	check "nothing is left by uninstall" test -z "$(find "$out/cmake-root" -path "$out/cmake-root/prefix" -prune -o -not -type d -print)"
}

# cmake_with GENERATOR: builds and installs without a warning.
cmake_with() {
	local build=$out/cmake dest=$out/cmake-root
	rm -rf "$build" "$dest"
	{
		cmake -G "$1" -S . -B "$build" &&
			cmake --build "$build" &&
			DESTDIR=$dest/prefix cmake --install "$build" --prefix /opt/pnpdr &&
			DESTDIR=$dest cmake --install "$build"
	} >"$logs/cmake.log" 2>&1 || fail "$(cat "$logs/cmake.log")"
	check "nothing outside a prefix that was asked for" test "$(ls "$dest/prefix")" = opt
	check "no warnings with $1" test -z "$(grep -iE 'warning|circular' "$logs/cmake.log" | tee -a /dev/stderr)"
}

cmake_installed() {
	local build=$out/cmake dest=$out/cmake-root share=usr/local/share major dir
	for major in $(freerdp_dev_majors); do
		dir=$(realpath -m "$(pkg-config --variable=libdir "freerdp$major")")/freerdp$major
		check "plugin in $dir" test -s "$dest$dir/libpnpdr-client.so"
	done
	check "manual pages" test -s "$dest/$share/man/man1/pnpdr-list.1" -a -s "$dest/$share/man/man1/pnpdr-server.1" -a -s "$dest/$share/man/man1/pnpdr-agent.1"
	check "the agent starts with sessions" \
		test -s "$dest/etc/xdg/autostart/pnpdr-agent.desktop" -a -s "$dest/usr/local/lib/systemd/user/pnpdr-agent.service"
	check "CUPS's backend, which only root may execute" \
		test "$(stat -c %a "$dest/usr/lib/cups/backend/pnpdr" "$dest/prefix/opt/pnpdr/lib/cups/backend/pnpdr" | xargs)" = "700 700"
	check "completion" grep -q __start_pnpdr "$dest/$share/bash-completion/completions/pnpdr"
	check "no renderer of manual pages in the installed program" \
		test -z "$(go version -m "$dest/usr/local/bin/pnpdr" | grep md2man)"
}

## fuzz           (slow) each fuzz target for a while
stage_fuzz() {
	local file target rc=0
	while IFS=: read -r file target; do
		check "$file ${target#func }" fuzz_one "$(dirname "$file")" "${target#func }" || rc=1
	done < <(sources '_test\.go$' | xargs -d '\n' grep -o '^func Fuzz[A-Za-z0-9_]*')
	return "$rc"
}
# When the time is up while an input is running, Go's fuzzing engine sometimes
# calls that a failure. A real failure leaves an input that reproduces it.
# Minimizing what it finds would take most of the time.
fuzz_one() {
	local log=$logs/$2.log
	go test -tags "$tags" -run '^$' -fuzz "^$2\$" -fuzztime "${PNPDR_FUZZTIME:-5s}" \
		-fuzzminimizetime 100x -parallel 2 "./$1" >"$log" 2>&1 && return
	grep -q 'context deadline exceeded' "$log" && ! grep -q -e 'Failing input written' -e panic "$log" && return
	cat "$log"
	return 1
}

## asan           (slow) the plugin with AddressSanitizer in a real client
stage_asan() {
	local plugin=$out/asan/libpnpdr-client.so
	go build -asan -buildmode=c-shared -tags "$tags" -o "$plugin" ./plugin
	PNPDR_PLUGIN_ASAN=$plugin go_test -tags "$tags" -run ASan ./plugin/e2e
}

## trixie         (slow) sessions of Debian 13's xfreerdp
stage_trixie() { sessions_of trixie; }

## backports      (slow) sessions of the xfreerdp of Debian 13's backports
stage_backports() { sessions_of trixie backports; }

sessions_of() {
	local program
	scripts/build
	can "xfreerdp of $*" scripts/client "$@"
	program=$(tail -n 1 "$logs/can.out")
	PNPDR_PLUGIN=$out/libpnpdr-client.so PNPDR_XFREERDP3=$program \
		go_test -tags "$tags" -run '/^xfreerdp3$' -skip '^TestSessionsInOneProcess$' ./plugin/e2e
}

## xrdp-bookworm  (slow) sessions of Debian 12's xrdp, 0.9.21
stage_xrdp_bookworm() { xrdp_of bookworm; }

## xrdp-trixie    (slow) sessions of Debian 13's xrdp, 0.10
stage_xrdp_trixie() { xrdp_of trixie; }

xrdp_of() {
	scripts/build
	can "sessions of xrdp" scripts/xrdp "$1"
	PNPDR_XRDP_ROOT=$(tail -n 1 "$logs/can.out") go_test -race ./plugin/xrdptest
}

## vm             (slow) devices of a real kernel, plugged in and out of a virtual machine
stage_vm() {
	scripts/build
	can "real kernel devices" scripts/vm/prepare
	gotestsum --raw-command --ignore-non-json-output-lines -- scripts/vm/tests
}
