# Sourced by ./dev: what understudy needs from the system, and `need GROUP...`, which brings what is missing.
# shellcheck shell=bash disable=SC2154
#
# Rules: apt-get is asked only when something is missing; it may not remove anything (--no-remove); Boost 1.81, whose
# package cannot stand beside an installed libboost1.74-dev, is then unpacked into .deps/ (cmake/dependencies.cmake looks
# there first), and so is nginx, which the benchmarks only compare with: installing it would start a server.

# GROUP PACKAGE PROOF: a command, a header, or an absolute path (a glob) that shows that the package is there.
dependency_table() {
  cat << 'TABLE'
build g++                  g++
build cmake                cmake
build ninja-build          ninja
build git                  git
build pkg-config           pkg-config
build libboost1.81-dev     boost
build libsimdjson-dev      simdjson.h
build libtomlplusplus-dev  toml++/toml.h
build libcli11-dev         CLI/CLI.hpp
build libspdlog-dev        spdlog/spdlog.h
build libfmt-dev           fmt/format.h
build libsqlite3-dev       sqlite3.h
build libssl-dev           openssl/ssl.h
build libzstd-dev          zstd.h
build zlib1g-dev           zlib.h
build libxxhash-dev        xxhash.h
build libutf8proc-dev      utf8proc.h
build libeigen3-dev        eigen3/Eigen/Core
build libgtest-dev         gtest/gtest.h
test  python3              python3
build libjemalloc-dev      jemalloc/jemalloc.h
test  python3-venv         python-venv
encoder python3            python3
encoder python3-venv       python-venv
trainer python3            python3
trainer python3-venv       python-venv
test  chromium             chromium
test  openssl              openssl
test  curl                 curl
test  nodejs               node
test  npm                  npm
bench libbenchmark-dev     benchmark/benchmark.h
bench nginx                nginx
fuzz  clang-14             clang++-14
fuzz  libclang-rt-14-dev   /usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
fuzz  libexpected-dev      tl/expected.hpp
TABLE
}
# Faster rebuilds and links; installed along with something needed, never a reason to ask for a password.
optional_packages=(ccache mold)

include_dirs() { printf '%s\n' "$root/.deps/usr/include" /usr/local/include /usr/include "/usr/include/$(uname -m)-linux-gnu"; }

header() {  # header NAME: prints the first include folder that has it
  local dir
  while read -r dir; do
    if [[ -e $dir/$1 ]]; then echo "$dir" && return; fi
  done < <(include_dirs)
  return 1
}

at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }  # at_least 12 VERSION

is_there() {  # is_there PROOF
  local dir
  case $1 in
    g++) command -v "${CXX:-g++}" > /dev/null && at_least 12 "$("${CXX:-g++}" -dumpversion)" ;;
    cmake) command -v cmake > /dev/null && at_least 3.25 "$(cmake --version | awk 'NR == 1 {print $3}')" ;;
    boost) dir=$(header boost/unordered/unordered_flat_map.hpp) && (($(awk '/#define BOOST_VERSION / {print $3}' "$dir/boost/version.hpp") >= 108100)) ;;
    python-venv) python3 -c 'import ensurepip, venv' 2> /dev/null ;;
    nginx) PATH=$root/.deps/usr/sbin:$PATH:/usr/sbin:/usr/local/sbin command -v nginx > /dev/null ;;
    /*) compgen -G "$1" > /dev/null ;;
    *.h | *.hpp | */*) header "$1" > /dev/null ;;
    *) command -v "$1" > /dev/null ;;
  esac
}

missing_packages() {  # missing_packages GROUP...
  local group package proof
  while read -r group package proof; do
    if [[ " $* " == *" $group "* ]] && ! is_there "$proof"; then echo "$package"; fi
  done < <(dependency_table)
}

# How to become root: nothing to do, sudo that may ask for a password, or sudo only where it needs none.
if ((EUID == 0)); then sudo=(); elif [[ -t 0 && -z ${CI:-} ]]; then sudo=(sudo); else sudo=(sudo -n); fi

must_have_root() {  # must_have_root PACKAGE...: ends the program, saying what to do, where root cannot be had
  if ((EUID == 0)); then return; fi
  if command -v sudo > /dev/null && { [[ ${#sudo[@]} == 1 ]] || sudo -n true 2> /dev/null; }; then return; fi
  die "root is needed to install packages, and sudo cannot be used here. As root, run:
  apt-get update && apt-get install --no-install-recommends $*"
}

apt() {
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" < /dev/null >&2
}

refresh_package_lists() {  # once a run
  if [[ -n ${lists_are_fresh:-} ]]; then return; fi
  lists_are_fresh=yes
  apt update || say "apt-get update reported errors; going on with the lists there are"
}

apt_knows() { [[ -n $(apt-cache show "$1" 2> /dev/null) ]]; }

unpack() {  # unpack PACKAGE: into .deps/, beside whatever the system has
  local scratch download=(apt-get -q -o APT::Sandbox::User=root download "$1")
  say "unpacking $1 into .deps/"
  mkdir -p "$root/.deps" || die "cannot write to $root/.deps"
  scratch=$(mktemp -d)
  (cd "$scratch" && "${download[@]}" >&2) || {
    must_have_root "$1"
    refresh_package_lists
    (cd "$scratch" && "${download[@]}" >&2) || die "apt-get could not download $1"
  }
  dpkg -x "$scratch"/*.deb "$root/.deps" || die "could not unpack $1 into $root/.deps"
  rm -r "$scratch"
}

need() {  # need GROUP...: returns when everything in the groups is there, else ends the program with what to do
  local missing package install=()
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  command -v apt-get > /dev/null || die "missing, by the names of Debian 12's packages: ${missing[*]}
Install them (Boost 1.81 or newer, g++ 12 or newer, CMake 3.25 or newer) and run this again."

  for package in "${missing[@]}"; do
    case $package in
      nginx) unpack nginx ;;
      libboost1.81-dev)
        if [[ -e /usr/include/boost/version.hpp ]]; then unpack libboost1.81-dev; else install+=("$package"); fi
        ;;
      *) install+=("$package") ;;
    esac
  done
  if ((${#install[@]})); then
    must_have_root "${install[@]}"
    refresh_package_lists
    # Newer releases of Debian and Ubuntu have a newer Boost under another name.
    if ! apt_knows libboost1.81-dev; then install=("${install[@]/#libboost1.81-dev/libboost-dev}"); fi
    for package in "${optional_packages[@]}"; do
      if ! command -v "$package" > /dev/null && apt_knows "$package"; then install+=("$package"); fi
    done
    say "installing ${install[*]}"
    apt install --no-install-recommends --no-remove "${install[@]}" || die "apt-get could not install (above): ${install[*]}"
  fi

  hash -r
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) || die "still missing or too old after installing: ${missing[*]}
understudy is built on Debian 12: g++ 12, CMake 3.25 and Boost 1.81 or newer are needed."
}
