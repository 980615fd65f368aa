#!/bin/sh
# Turns a fresh Debian tree into a test host: mmdebstrap calls it with the tree's path, before packing it.
set -eu
root="$1"

chroot "$root" useradd --create-home --shell /bin/bash deploy
echo 'deploy ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/deploy"
chmod 0440 "$root/etc/sudoers.d/deploy"

# Two hosts made from one image have different keys and ids.
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"
cat > "$root/etc/systemd/system/ssh-host-keys.service" <<'UNIT'
[Unit]
Description=SSH host keys, made at the first boot
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
RequiredBy=ssh.service
UNIT
# systemd makes mounts shared when it boots a machine, and leaves that alone in a container. It hands credentials to a
# service by a mount, which would reach nobody.
cat > "$root/etc/systemd/system/shared-run.service" <<'UNIT'
[Unit]
Description=Mounts below /run reach services, as on a machine
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=/usr/bin/mount --make-shared /run

[Install]
WantedBy=sysinit.target
UNIT
chroot "$root" systemctl enable ssh.service ssh-host-keys.service shared-run.service

# What can't work without hardware, and what would hold apt's lock while a test runs.
chroot "$root" systemctl mask \
    systemd-modules-load.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-logind.service getty.target console-getty.service \
    apt-daily.timer apt-daily-upgrade.timer

# A container's disk is thrown away: no need to wait for it.
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/test-host"

# The host knows no package until its lists are fetched, and it says so: the age of this folder is what Ansible's
# cache_valid_time goes by.
chroot "$root" apt-get clean
find "$root/var/lib/apt/lists" -type f -delete
touch --date=@0 "$root/var/lib/apt/lists"
