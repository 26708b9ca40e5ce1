#!/bin/sh
# Fetch the foreign mail software that the interoperability tests run, into a cache: fetch.sh
# Nothing is installed and no service starts: Debian packages are only unpacked, so that Postfix and
# Exim can lie side by side. The npm packages are those of package-lock.json.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/requiretls-plugin-tests
wanted="postfix exim4-base exim4-daemon-light swaks libnet-ssleay-perl"

# tests/interop/software.py compares this with what it was made for.
stamp=$(cat "$here/fetch.sh" "$here/package-lock.json" | sha256sum | cut -d' ' -f1)
[ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ] && exit

for program in apt-get dpkg npm; do
    if ! command -v "$program" >/dev/null 2>&1; then
        echo "$program is missing: the interoperability tests need Debian and npm (apt-get install npm)" >&2
        exit 69
    fi
done
if ! apt-cache show postfix >/dev/null 2>&1 && ! apt-get update -qq; then
    echo "The lists of Debian packages are missing; as root: apt-get update" >&2
    exit 69
fi

# Whatever those packages need and this machine has not.
needed=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances $wanted | grep -E '^(lib|perl)' | sort -u)
for package in $needed; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || wanted="$wanted $package"
done

new=$cache.new
rm -rf "$new"
mkdir -p "$new/packages" "$new/debian"
(cd "$new/packages" && apt-get download -qq -o APT::Sandbox::User=root $wanted)
for package in "$new/packages"/*.deb; do
    dpkg --extract "$package" "$new/debian"
done
rm -r "$new/packages"
# Nothing here is to give anybody the rights of root.
find "$new/debian" -perm /6000 -exec chmod ug-s {} +

cp "$here/package.json" "$here/package-lock.json" "$new"
npm ci --prefix "$new" --silent --ignore-scripts --no-audit --no-fund

echo "$stamp" >"$new/stamp"
rm -rf "$cache"
mv "$new" "$cache"
