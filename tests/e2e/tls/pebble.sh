#!/usr/bin/env bash
# A local authority: Debian's pebble in strict mode, which looks names up in /etc/hosts and asks on port 80.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends pebble curl openssl >/dev/null 2>&1
mkdir -p /etc/pebble
cd /etc/pebble
key() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" "${@:2}" 2>/dev/null; }
key authority -x509 -days 30 -subj "/CN=Authority of the test" -out authority.pem \
    -addext keyUsage=critical,keyCertSign,cRLSign
key own -subj /CN=acme.test -out own.request
printf 'subjectAltName=DNS:acme.test\nauthorityKeyIdentifier=keyid\n' >own.extensions
openssl x509 -req -in own.request -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 \
    -extfile own.extensions -out own.pem 2>/dev/null
cp authority.pem /usr/local/share/ca-certificates/authority-of-the-test.crt
update-ca-certificates >/dev/null 2>&1
cat >config.json <<CONFIG
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "httpPort": 80,
 "tlsPort": 443, "certificate": "/etc/pebble/own.pem", "privateKey": "/etc/pebble/own.key"}}
CONFIG
# A loopback address would be no address for the check of names.
echo "127.0.0.1 acme.test
$(hostname -I | cut -d ' ' -f 1) site.test www.site.test shop.test" >>/etc/hosts
cat >/root/start-pebble <<'START'
#!/bin/sh
# It refuses one nonce in twenty for practice, and certbot gives up at two in a row.
systemd-run --quiet --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 pebble -strict -config /etc/pebble/config.json
for attempt in $(seq 100); do
    curl --silent --fail --output /dev/null https://acme.test:14000/dir && exit
    sleep 0.1
done
exit 1
START
chmod +x /root/start-pebble
/root/start-pebble
