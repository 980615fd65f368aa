# Copyright: the flaskworks.deploy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names that an application can't have: it becomes a user, units, a site, directories in /srv, /run and /var/log."""

from __future__ import annotations

import re

from ansible_collections.flaskworks.deploy.plugins.module_utils.plan_rules import RULES, Report

# systemd takes no longer one: it has to fit utmp (UT_NAMESIZE - 1; tried with systemd-sysusers 252 and 257).
NAME_LENGTH = 31

_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_PREFIXES = ("systemd-", "flaskworks", "dpkg-", "apt-")

RESERVED = {
    "user or group of Debian": """
        root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody nogroup
        adm tty disk kmem dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl
        plugdev staff users input sgx kvm render crontab netdev messagebus sshd ssl-cert tcpdump uuidd polkitd
    """,
    "user or service of a common package": """
        nginx apache apache2 httpd caddy haproxy traefik varnish squid postgres postgresql mysql mariadb redis
        redis-server valkey memcache memcached mongodb mongod rabbitmq elasticsearch opensearch clickhouse
        influxdb grafana prometheus node-exporter loki bind named unbound dnsmasq postfix exim exim4 dovecot
        opendkim sendmail ntp ntpsec chrony docker containerd podman lxc lxd libvirt git gitlab gitea jenkins
        svn ftp vsftpd proftpd samba nfs rpc statd certbot letsencrypt supervisor supervisord fail2ban ufw
        nftables iptables firewalld munin zabbix nagios snmp collectd openvpn wireguard wg-quick strongswan tor
        puppet salt vnstat clamav spamassassin uwsgi rsync rsyncd syslog rsyslog syslog-ng logrotate
        unattended-upgrades apport aptitude cron-apt exim4-base mysql-server postgresql-common ubuntu-pro-client
    """,
    "user that people log in with": """
        admin administrator ansible debian deploy ubuntu vagrant ec2-user guest
    """,
    "unit of systemd": """
        systemd getty agetty autovt serial-getty container-getty console-getty user session init cron anacron
        atd ssh dbus networking network ifup ifupdown resolvconf udev modprobe quotaon fstrim e2scrub
        blk-availability lvm2 mdadm kmod keyboard-setup console-setup emergency rescue reboot halt poweroff
        shutdown multi-user graphical basic sockets timers local-fs remote-fs time-sync
    """,
    "directory in /run, or of logs": """
        lock log shm mount credentials initctl screen private journal installer apt dpkg alternatives btmp wtmp
        lastlog faillog sysusers tmpfiles
    """,
    "site that Debian's nginx has": """
        default
    """,
}


def check_name(report: Report, name: object) -> bool:
    """Report what is wrong with an application's name; tell whether it can be worked with."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        proposal = re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-0123456789")
        remedy = f" - '{proposal}' would do" if _NAME.fullmatch(proposal) else ""
        report.add("app-name", "", f"{name!r} can't be a user and a unit: {RULES['app-name']}{remedy}")
        return False
    if len(name) > NAME_LENGTH:
        report.add("app-name-length", "", f"has {len(name)} characters: {RULES['app-name-length']}")
    for kind, names in RESERVED.items():
        if name in names.split():
            report.add("app-name-reserved", "", f"'{name}' is the name of a {kind}: take another, like '{name}-site'")
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            report.add("app-name-reserved", "", f"names that begin with '{prefix}' belong to the system: take another")
    return True
