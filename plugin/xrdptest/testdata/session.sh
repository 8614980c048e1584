#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs xrdp and its client in the namespaces that the caller has made, until the
# program inside the session has ended.
#
#   session.sh FOLDER OUT [ROOT]
#
# FOLDER is shared with the caller; the session runs the program "inside" in it. OUT
# has the plugin. ROOT has unpacked packages to be laid over the system.
set -euo pipefail

folder=$1 out=$2 root=${3-}

ip link set lo up
mount --make-rprivate /
top=/mnt
mount -t tmpfs tmpfs "$top"
mkdir "$top"/{over,up,work,all}
if [ -n "$root" ]; then
	cp -a "$root/." "$top/over"
	# Packages that were built before these folders became links.
	for dir in bin sbin lib lib64; do
		if [ -d "$top/over/$dir" ] && [ ! -L "$top/over/$dir" ]; then
			mkdir -p "$top/over/usr/$dir"
			cp -a "$top/over/$dir/." "$top/over/usr/$dir/"
			rm -r "${top:?}/over/$dir"
		fi
	done
fi
mount -t overlay overlay -o "lowerdir=$top/over:/,upperdir=$top/up,workdir=$top/work" "$top/all"
cd "$top/all"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p tmp/x tmp/out run/xrdp/sockdir
chmod 1777 tmp run/xrdp/sockdir
mount --bind "$folder" tmp/x
mount --bind "$out" tmp/out

cat >tmp/start.sh <<'START'
set -euo pipefail
cd /tmp/x
useradd -m -s /bin/bash pnpdr-test
echo pnpdr-test:pnpdr-test | chpasswd
cat >/home/pnpdr-test/startwm.sh <<'SESSION'
#!/bin/bash
cd /tmp/x
PNPDR_IN_XRDP=1 ./inside -test.v -test.run '^TestXrdp$' >inside.log 2>&1
echo $? >status.new
mv status.new status
sleep 60
SESSION
chmod 755 /home/pnpdr-test/startwm.sh
chown -R pnpdr-test: /home/pnpdr-test

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=xrdp \
	-keyout /etc/xrdp/key.pem -out /etc/xrdp/cert.pem 2>openssl.log
xrdp-keygen xrdp /etc/xrdp/rsakeys.ini >keygen.log
sed -i '0,/^port=.*/s//port=tcp:\/\/127.0.0.1:3389/' /etc/xrdp/xrdp.ini
sed -i 's/^EnableSyslog=.*/EnableSyslog=false/' /etc/xrdp/{xrdp,sesman}.ini
xrdp-sesman --nodaemon >sesman-stdout.log 2>&1 &
xrdp --nodaemon >xrdp-stdout.log 2>&1 &
Xvfb :77 -screen 0 1024x768x24 >xvfb.log 2>&1 &

# As long as there is a file "client", a client is connected.
touch client
client=
for _ in $(seq 1200); do
	if [ -e status ]; then
		break
	elif [ -e client ] && { [ -z "$client" ] || ! kill -0 "$client"; } 2>/dev/null; then
		DISPLAY=:77 LD_PRELOAD=/tmp/out/libpnpdr-preload.so xfreerdp3 /v:127.0.0.1:3389 \
			/u:pnpdr-test /p:pnpdr-test /cert:ignore /dvc:pnpdr,loopback >>client.log 2>&1 &
		client=$!
		sleep 1
	elif [ ! -e client ] && [ -n "$client" ]; then
		kill -9 "$client"
		client=
	fi
	sleep 0.1
done
cp /var/log/xrdp*.log /home/pnpdr-test/.local/share/xrdp/*.log . || true
chmod -R a+rX .
START
chroot . /bin/bash /tmp/start.sh
