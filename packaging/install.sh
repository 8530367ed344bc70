#!/bin/sh
# Builds Teleferry from this checkout and installs it as a systemd service; or removes it again.
#
#   packaging/install.sh                    builds and installs below /usr/local; again: installs the new version
#   packaging/install.sh --uninstall        removes what it installed; settings and state stay
#   packaging/install.sh --uninstall --purge    removes those too
#
#   --prefix DIR     /usr for packages, /usr/local otherwise
#   --destdir DIR    puts everything below DIR and changes nothing of this system: for packages
#   --binary FILE    installs this program instead of building one
set -eu

prefix=/usr/local destdir='' binary='' action=install purge=no
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --prefix | --destdir | --binary)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
        --prefix) prefix=$2 ;;
        --destdir) destdir=$2 ;;
        --binary) binary=$2 ;;
        esac
        shift
        ;;
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) fail "$1 is not known; --help says what is" ;;
    esac
    shift
done

if [ "$prefix" = /usr ]; then
    units=/usr/lib/systemd/system sysusers=/usr/lib/sysusers.d
else
    units=/etc/systemd/system sysusers=/etc/sysusers.d
fi
docs=$prefix/share/doc/teleferry

# What is installed: mode, file below packaging/, place.
files() {
    for page in "$here"/man/*.1; do
        echo "644 $page $prefix/share/man/man1/${page##*/}"
    done
    cat <<END
644 $here/completions/teleferry.bash $prefix/share/bash-completion/completions/teleferry
644 $here/completions/teleferry.fish $prefix/share/fish/vendor_completions.d/teleferry.fish
644 $here/completions/_teleferry $prefix/share/zsh/vendor-completions/_teleferry
644 $here/systemd/teleferry.service $units/teleferry.service
644 $here/systemd/teleferry.sysusers $sysusers/teleferry.conf
644 $here/systemd/teleferry.socket $docs/examples/teleferry.socket
644 $here/sysctl/90-teleferry.conf $docs/examples/90-teleferry.conf
644 $here/monitoring/teleferry-alerts.yml $docs/examples/teleferry-alerts.yml
644 $here/monitoring/teleferry-dashboard.json $docs/examples/teleferry-dashboard.json
644 $here/config/teleferry.toml $docs/examples/teleferry.toml
644 $here/../CHANGELOG.md $docs/CHANGELOG.md
END
}

has_systemd() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

install_files() {
    if [ -z "$binary" ]; then
        # sudo knows nothing of what rustup has put into a home directory.
        command -v cargo >/dev/null || fail "there is no cargo here to build with. Build first, as the user who has Rust:
  cargo build --release --locked -p teleferry
then install what was built:
  sudo packaging/install.sh --binary target/release/teleferry"
        (cd "$here/.." && cargo build --release --locked -p teleferry)
        binary=$here/../target/release/teleferry
    fi
    [ -x "$binary" ] || fail "$binary is no program"
    install -D -m 755 "$binary" "$destdir$prefix/bin/teleferry"
    files | while read -r mode file place; do
        install -D -m "$mode" "$file" "$destdir$place"
    done
    # The unit names the program where packages put it.
    sed -i "s#/usr/bin/teleferry#$prefix/bin/teleferry#" "$destdir$units/teleferry.service"
}

# The user, the settings, and the secret that they name. Nothing that is there is changed.
set_up() {
    if ! getent passwd teleferry >/dev/null; then
        if command -v systemd-sysusers >/dev/null; then
            systemd-sysusers "$sysusers/teleferry.conf"
        else
            useradd --system --home-dir /var/lib/teleferry --no-create-home --shell /usr/sbin/nologin teleferry
        fi
    fi
    install -d -m 750 -o root -g teleferry /etc/teleferry
    [ -e /etc/teleferry/teleferry.toml ] ||
        install -m 640 -o root -g teleferry "$here/config/teleferry.toml" /etc/teleferry/teleferry.toml
    "$here/deb/secret" "$prefix/bin/teleferry"
    if has_systemd; then
        systemctl daemon-reload
    fi
}

# A service that runs is taken over by the new program, and nobody is refused.
take_over() {
    has_systemd && systemctl --quiet is-active teleferry.service || return 1
    "$prefix/bin/teleferry" ctl --config /etc/teleferry/teleferry.toml upgrade ||
        systemctl try-restart teleferry.service ||
        fail "the running service is still the old program; see: journalctl -u teleferry"
}

uninstall() {
    if has_systemd; then
        systemctl disable --now teleferry.service teleferry.socket 2>/dev/null || true
    fi
    rm -f "$destdir$prefix/bin/teleferry"
    files | while read -r _ _ place; do
        rm -f "$destdir$place"
    done
    for directory in "$docs/examples" "$docs"; do
        rmdir "$destdir$directory" 2>/dev/null || true
    done
    if has_systemd; then
        systemctl daemon-reload
    fi
    if [ "$purge" = no ] || [ -n "$destdir" ]; then
        [ -n "$destdir" ] || [ ! -e /etc/teleferry ] || echo "Settings and state stay, in /etc/teleferry and /var/lib/teleferry; --purge removes them."
        return 0
    fi
    rm -rf /etc/teleferry /var/lib/teleferry /var/log/teleferry
    if getent passwd teleferry >/dev/null; then
        userdel teleferry || true
    fi
}

case $action in
uninstall) uninstall ;;
install)
    install_files
    if [ -z "$destdir" ]; then
        set_up
        if take_over; then
            exit 0
        fi
        cat <<END
Teleferry is installed. What is left to do, as root:
  1. Fill in the host names in /etc/teleferry/teleferry.toml: public_host, domain and target
  2. teleferry doctor --config /etc/teleferry/teleferry.toml
  3. systemctl enable --now teleferry
  4. teleferry link --config /etc/teleferry/teleferry.toml
END
    fi
    ;;
esac
