#!/bin/sh
# Set up what the demo or the tests need: prepare.sh demo|tests PYTHON VENV
# Debian packages are installed when root, and named when not.
set -eu

purpose=$1
python=$2
venv=$3

# command:package
needed="unbound:unbound"
extras="[lab]"
if [ "$purpose" = tests ]; then
    needed="$needed chromium:chromium dig:bind9-dnsutils openssl:openssl redis-server:redis-server node:nodejs npm:npm"
    extras="[bench,lint,redis,test]"
fi

missing=""
for pair in $needed; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
if [ "$purpose" = tests ] && ! PATH="$PATH:/sbin" ldconfig -p | grep -q 'libunbound\.so\.8'; then
    missing="$missing libunbound8"
fi
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
pip="$venv/bin/pip --disable-pip-version-check --quiet"
$pip install --upgrade "setuptools>=70.1" wheel
$pip install --editable ".$extras"
if [ "$purpose" = tests ]; then
    # What only the interoperability tests need; they say so themselves if it is missing.
    sh "$(dirname "$0")/../interop/fetch.sh" || echo "Without it the tests in tests/interop fail." >&2
fi
