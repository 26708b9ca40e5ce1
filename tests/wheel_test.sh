#!/bin/sh
# Build the wheel, install it alone in a fresh environment and run the tests with the sources out of
# reach: wheel_test.sh PYTHON WORKERS [CONSTRAINTS], the last a file for pip
set -eu

python=$1
workers=$2
constraints=$(realpath "${3:-/dev/null}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" .
"$python" -m venv "$folder/venv"
wheel=$(echo "$folder"/*.whl)
"$folder/venv/bin/pip" install -qq --disable-pip-version-check --constraint "$constraints" \
    "setuptools>=68" wheel "$wheel[redis,test]"
"$python" -m tests.supply.foreign_types "$folder/venv/bin/python"
mkdir "$folder/checkout"
cp -r tests docs examples build_backend.py setup.cfg pyproject.toml MANIFEST.in README.md CHANGELOG.md LICENSE Makefile "$folder/checkout"
cd "$folder/checkout"
REQUIRETLS_TESTS_WITHOUT_SOURCES=1 "$folder/venv/bin/pytest" -n "$workers" -o pythonpath=.
