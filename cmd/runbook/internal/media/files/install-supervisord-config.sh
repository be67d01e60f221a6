#!/bin/sh
# Writes PREFIX/etc/supervisord.conf and adds a line to the caller's crontab that starts supervisord at boot: another
# one each time, and without looking whether there is one. It starts nothing itself.
set -e
prefix=$(cd "$(dirname "$0")/.." && pwd)
logs=/var/log/anaconda-server
[ -d $logs ] || { echo "$0: no directory $logs" >&2; exit 1; }
mkdir -p "$prefix/etc" "$prefix/var/run"
cat > "$prefix/etc/supervisord.conf" <<CONF
[unix_http_server]
file=$prefix/var/run/supervisor.sock
chmod=0700

[supervisord]
logfile=$logs/supervisord.log
pidfile=$prefix/var/run/supervisord.pid
childlogdir=$logs

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://$prefix/var/run/supervisor.sock

[program:binstar-server]
command=$prefix/bin/binstar-server

[program:binstar-scheduler]
command=$prefix/bin/binstar-scheduler

[program:binstar-worker]
command=$prefix/bin/binstar-worker

[program:binstar-worker-low]
command=$prefix/bin/binstar-worker --low
process_name=%(program_name)s_%(process_num)02d
numprocs=8
CONF
{ crontab -l 2>/dev/null || true; echo "@reboot $prefix/bin/supervisord"; } | crontab -
