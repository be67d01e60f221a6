#!/bin/sh
# install.star on repo01, mode real, 2026-01-02 03:04:05 UTC
set -eu
: "${PAGER:?set it to the secret pager}"
: "${SECRET_PATH:?set it to the secret path}"

# == system  Prepare the system
# useradd anaconda (install.star:3:9)
useradd -m anaconda
# write /etc/motd (install.star:4:9)
# write /etc/motd (sha256 11d9dc574ba9751801247974f78b5db4c2b4a20aa18c5cc81c1b5604894bf047, mode 0644)
install -m 0644 -o root -- /dev/null /etc/motd
cat >/etc/motd <<EOF_
Welcome.
Call ${PAGER} at night.
EOF
EOF_

# == mail, skipped: its condition does not hold

# == data
# extract /srv/a/pkgs (install.star:10:5)
# tree /srv/a/pkgs: 4123 files, 1099511627776 bytes, digest aa11
# run conda install x (install.star:12:5)
(cd -- /srv/a && printf '%s\n' "$PAGER" | runuser -u anaconda -- env 'TOKEN='"$PAGER" conda install 'x y')
# failed: exit status 1: PackagesNotFoundError
install -d -m 0750 -o anaconda -g staff -- '/srv/a b'
ln -s -- ../x /srv/link
chown -h -- anaconda /srv/link
chmod 0700 -- /srv/a
chown -- anaconda /srv/a
chown -hR -- anaconda:staff /srv/a
mv -- /srv/old /srv/new
rm -rf -- '/srv/$HOME'
# write /srv/unknown (sha256 not known, mode 0600)
#   the trace does not hold the content
'if' 'a'\''b' '' --x=y '-é' 'x='"$SECRET_PATH"

# failed: 1 same, 3 changed, 1 failed, 1 skipped
