#!/bin/sh
# Set up what the tests and the demo need: prepare.sh PYTHON VENV
# Debian packages are installed when root, and named when not.
set -eu

python=$1
venv=$2

# command:package
needed="unbound:unbound openssl:openssl redis-server:redis-server node:nodejs npm:npm"

missing=""
for pair in $needed; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
if ! command -v "$python" >/dev/null 2>&1; then
    missing="$missing python3 python3-venv"
elif ! "$python" -c "import ensurepip" 2>/dev/null; then
    missing="$missing python3-venv"
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "These Debian packages are missing:$missing" >&2
        echo "Install them (as root: apt-get install --no-install-recommends$missing) and try again." >&2
        exit 69
    fi
    # The daemons are only used as programs here; none is to run as a service of this machine.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 - a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

if ! "$python" -c "import sys; sys.exit(sys.version_info < (3, 11))"; then
    echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …" >&2
    exit 69
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --upgrade "setuptools>=68" wheel
"$venv/bin/pip" install --quiet --disable-pip-version-check --editable ".[redis,test,lint]"
# What only the interoperability tests need; they say so themselves if it is missing.
sh "$(dirname "$0")/../interop/fetch.sh" || echo "Without it the tests in tests/interop fail." >&2
