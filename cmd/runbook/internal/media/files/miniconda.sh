#!/bin/bash
# @NAME@ @VERSION@: a stand-in for the installer of Miniconda. The archive begins below the last line of this script.
PREFIX=$HOME/@PREFIX@
BATCH=0
FORCE=0
while getopts bfhp: option; do
	case $option in
	b) BATCH=1 ;;
	f) FORCE=1 ;;
	p) PREFIX=$OPTARG ;;
	h)
		echo "usage: $0 [options]

Installs @NAME@ @VERSION@

    -b           run install in batch mode (without manual intervention),
                 it is expected the license terms are agreed upon
    -f           no error if install prefix already exists
    -h           print this help message and exit
    -p PREFIX    install prefix, defaults to $PREFIX"
		exit 0
		;;
	*)
		echo "Error: did not recognize option, please try -h" >&2
		exit 1
		;;
	esac
done

ask() { read -r answer || { echo "ERROR: no answer, and no -b" >&2; exit 2; }; }

if [ $BATCH = 0 ]; then
	echo "
Welcome to @NAME@ @VERSION@ (by Continuum Analytics, Inc.)

In order to continue the installation process, please review the license
agreement.
Please, press ENTER to continue"
	ask
	echo "This is a stand-in for tests, which installs no software of Continuum Analytics."
	printf 'Do you approve the license terms? [yes|no]\n>>> '
	ask
	while [ "$answer" != yes ] && [ "$answer" != no ]; do
		printf "Please answer 'yes' or 'no':\n>>> "
		ask
	done
	[ "$answer" = yes ] || { echo "The license agreement wasn't approved, aborting installation."; exit 2; }
	printf '\n@NAME@ will now be installed into this location:\n%s\n\n  - Press ENTER to confirm the location\n  - Press CTRL-C to abort the installation\n  - Or specify a different location below\n\n[%s] >>> ' "$PREFIX" "$PREFIX"
	ask
	[ -z "$answer" ] || PREFIX=$answer
fi

case $PREFIX in
*\ *)
	echo "ERROR: Cannot install into directories with spaces" >&2
	exit 1
	;;
esac
if [ $FORCE = 0 ] && [ -e "$PREFIX" ]; then
	echo "ERROR: File or directory already exists: $PREFIX" >&2
	exit 1
fi
mkdir -p "$PREFIX" || { echo "ERROR: Could not create directory: $PREFIX" >&2; exit 1; }
PREFIX=$(cd "$PREFIX" && pwd)
echo "PREFIX=$PREFIX"
# As with the real one, damage is a warning only.
[ "$(tail -n +@LINES@ "$0" | md5sum | cut -d' ' -f1)" = @MD5@ ] || echo "WARNING: md5sum mismatch of tar archive" >&2
tail -n +@LINES@ "$0" | tar xzf - -C "$PREFIX" || { echo "ERROR: could not extract the tar archive" >&2; exit 1; }
echo "installation finished."

if [ $BATCH = 0 ]; then
	printf 'Do you wish the installer to prepend the @NAME@ install location\nto PATH in your %s/.bashrc ? [yes|no]\n[no] >>> ' "$HOME"
	ask
	[ "$answer" != yes ] || printf '\n# added by @NAME@ @VERSION@ installer\nexport PATH="%s/bin:$PATH"\n' "$PREFIX" >> "$HOME/.bashrc"
fi
exit 0
@@ARCHIVE@@
