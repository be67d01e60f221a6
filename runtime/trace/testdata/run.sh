#!/bin/sh
# NOT all that the run does is in this script: it stops with exit code 1 in step data: the trace does not hold the files that are made below /srv/a/pkgs. There are 1 more such places.
# install.star on repo01, mode real, 2026-01-02 03:04:05 UTC
set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
: "${PAGER:?set it to the secret pager}"
: "${SECRET_PATH:?set it to the secret path}"
[ "$(id -un)" = root ] || { echo 'this is to be run by root' >&2; exit 1; }

# as ACCOUNT [-C DIRECTORY] [NAME=VALUE]... COMMAND: in its home, with little in its environment, without input.
as() { given "$@" </dev/null; }

# given ACCOUNT ...: the same, with the input that it is given.
given() {
    account=$1; shift
    home=$(getent passwd "$account" | cut -d: -f6) shell=$(getent passwd "$account" | cut -d: -f7)
    directory=/; [ ! -d "$home" ] || directory=$home
    if [ "$1" = -C ]; then directory=$2; shift 2; fi
    set -- env -i PATH="$PATH" HOME="${home:-/}" USER="$account" LOGNAME="$account" SHELL="${shell:-/bin/sh}" LANG=C.UTF-8 \
        ${http_proxy+"http_proxy=$http_proxy"} ${https_proxy+"https_proxy=$https_proxy"} ${no_proxy+"no_proxy=$no_proxy"} \
        ${HTTP_PROXY+"HTTP_PROXY=$HTTP_PROXY"} ${HTTPS_PROXY+"HTTPS_PROXY=$HTTPS_PROXY"} ${NO_PROXY+"NO_PROXY=$NO_PROXY"} "$@"
    [ "$account" = "$(id -un)" ] || set -- runuser -u "$account" -- "$@"
    (cd -- "$directory" && exec "$@")
}

# == system  Prepare the system
# useradd anaconda (install.star:3:9)
as root useradd -m anaconda
# write /etc/motd (install.star:4:9)
install -m 0644 -o root -- /dev/null /etc/motd
cat >/etc/motd <<EOF_
Welcome.
Call ${PAGER} at night.
EOF
EOF_

# == mail, skipped: its condition does not hold

# == data
# extract /srv/a/pkgs (install.star:10:5)
echo 'this script cannot go on: the trace does not hold the files that are made below /srv/a/pkgs' >&2
exit 1
# run conda install x (install.star:12:5)
printf '%s\n' "$PAGER" | given anaconda -C /srv/a TOKEN="$PAGER" conda install 'x y'
# failed: exit status 1: PackagesNotFoundError
install -d -m 0750 -o anaconda -g staff -- '/srv/a b'
ln -s -T -- ../x /srv/link
chown -h -- anaconda /srv/link
chmod 0700 -- /srv/a
chown -- anaconda /srv/a
find /srv/a \( ! -type f -o -links 1 \) -exec chown -h anaconda:staff {} +
mv -T -- /srv/old /srv/new
rm -rf -- '/srv/$HOME'
echo 'this script cannot go on: the trace does not hold what /srv/unknown is to hold' >&2
exit 1
as root if 'a'\''b' '' --x=y '-é' 'x='"$SECRET_PATH"

# failed: 1 same, 3 changed, 1 failed, 1 skipped
