#!/bin/sh
# Finds a Chrome or Chromium for the browser tests. Installs Debian's, with fonts, where this is Debian and we are root.
# environment: CHROME (path of the browser to use)
set -eu

fonts="fonts-dejavu-core fonts-noto-cjk fonts-noto-color-emoji"

# The same list as CHROMES in tests/conftest.py.
find_chrome() {
    if [ -n "${CHROME:-}" ]; then
        command -v "$CHROME" || {
            echo "neurowidget: CHROME=$CHROME is not a program. Set it to the path of a Chrome or Chromium, or unset it." >&2
            exit 1
        }
        return
    fi
    for name in chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
        if command -v "$name"; then return; fi
    done
}

# Ubuntu's package of the same name only asks for a snap, so Debian itself is meant.
can_apt() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && grep -qs '^ID=debian' /etc/os-release
}

apt_install() {
    echo "neurowidget: apt-get install $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 update >/dev/null &&
        apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" >/dev/null </dev/null
}

missing_fonts() {
    for font in $fonts; do
        dpkg -s "$font" >/dev/null 2>&1 || printf ' %s' "$font"
    done
}

chrome=$(find_chrome)
if can_apt; then
    wanted=$(missing_fonts)
    [ -n "$chrome" ] || wanted="chromium$wanted"
    # shellcheck disable=SC2086  # a list of words
    [ -z "$wanted" ] || apt_install $wanted || echo "neurowidget: apt-get could not install $wanted; going on with what is here." >&2
    chrome=$(find_chrome)
fi
if [ -z "$chrome" ]; then
    echo "neurowidget: the browser tests need Chrome or Chromium, and none was found." >&2
    echo "  Debian: apt-get install chromium $fonts" >&2
    echo "  mac: brew install --cask google-chrome   Elsewhere: any Chrome or Chromium; CHROME=/path/to/it make test" >&2
    exit 1
fi
echo "neurowidget: browser tests use $chrome"
