#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command while Samba's own server shares 999 folders and IPC$: PNPDR_SRVS_BENCH is
# its address. Without a command, it is the benchmarks of pnp/srvs, which are run in turn
# with this server and with Samba's. Takes root and Debian's samba-common-bin; Samba runs in
# a network of its own, as the command does, with files of its own, and ends with this script.
#
# Usage: pnp/srvs/testdata/bench-samba.sh [COMMAND...]
set -euo pipefail

if [ -z "${BENCH_DIR:-}" ]; then
	BENCH_DIR=$(mktemp -d)
	export BENCH_DIR
	trap 'rm -rf "$BENCH_DIR"' EXIT
	(cd "$(dirname "$0")/.." && go test -c -o "$BENCH_DIR/bench" .)
	unshare -n "$0" "$@"
	exit
fi

dir=$BENCH_DIR
ip link set lo up
mkdir -p "$dir"/{private,lock,state,cache,pid,ncalrpc,share}
chmod 755 "$dir" "$dir/ncalrpc"
{
	cat <<-END
		[global]
		private dir = $dir/private
		lock directory = $dir/lock
		state directory = $dir/state
		cache directory = $dir/cache
		pid directory = $dir/pid
		ncalrpc dir = $dir/ncalrpc
		log file = $dir/log
		rpc start on demand helpers = no
		server role = standalone server
		map to guest = bad user
		load printers = no
	END
	for i in $(seq 999); do
		printf '[share%d]\npath = %s\ncomment = a share of the benchmark\nguest ok = yes\n' "$i" "$dir/share"
	done
} >"$dir/smb.conf"
/usr/libexec/samba/samba-dcerpcd -F --no-process-group -s "$dir/smb.conf" --libexec-rpcds >"$dir/out" 2>&1 &
samba=$!
trap 'kill "$samba"; wait "$samba" || true' EXIT

bench() { "$dir/bench" -test.run '^$' -test.bench "$1" -test.benchtime 2s 2>&1 | grep -E '^Benchmark.* ns/op'; }

# Its ports are given out anew each time; only one of them answers srvsvc.
port=
for _ in $(seq 50); do
	for port in $(ss -Hltn | awk '{ sub(/.*:/, "", $4); if ($4 >= 49152) print $4 }' | sort -u); do
		! PNPDR_SRVS_BENCH=127.0.0.1:$port bench 1000Calls >/dev/null || break 2
		port=
	done
	sleep 0.2
done
[ -n "$port" ] || { cat "$dir/out" && exit 1; }

if [ $# -gt 0 ]; then
	PNPDR_SRVS_BENCH=127.0.0.1:$port "$@"
	exit
fi
for _ in $(seq 5); do
	echo Samba
	PNPDR_SRVS_BENCH=127.0.0.1:$port bench 'ShareEnum1000|1000Calls'
	echo pnpdr
	bench .
done
