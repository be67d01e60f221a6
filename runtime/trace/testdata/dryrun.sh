#!/bin/sh
# install.star on repo01, mode dry-run, 2026-01-02 03:04:05 UTC
# what a run would do; nothing of this was done
set -eu
: "${PAGER:?set it to the secret pager}"

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
