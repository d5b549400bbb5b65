# Sourced by tools/run, tools/test and .ci/run. Configures and builds without a word unless something
# goes wrong; on a terminal, ninja's one moving line shows how far it is.
#   quiet_build PRESET [cmake --build arguments…]     in the repository's root
quiet_build() {
  local preset=$1 log
  shift
  # What was compiled in one checkout serves the next one, wherever that lies.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true
  log=build/$preset.log
  mkdir -p build
  # The fuzz preset names a compiler version that another release of the system may not have.
  local compilers=()
  if [[ $preset == fuzz ]] && ! command -v clang++-14 >/dev/null; then
    compilers=(-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++)
  fi
  if ! cmake --preset "$preset" "${compilers[@]}" >"$log" 2>&1; then
    cat "$log"
    echo "configuring the $preset preset failed" >&2
    return 1
  fi
  echo "Building ($preset) …"
  if [[ -t 1 ]]; then
    cmake --build --preset "$preset" "$@"
  elif ! cmake --build --preset "$preset" "$@" >>"$log" 2>&1; then
    grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking|Re-checking)' "$log" | tail -n 100
    echo "building the $preset preset failed; all of it: $log" >&2
    return 1
  fi
}
