# A SLURM cluster of its own for a test: munged, slurmctld and some slurmd on this host, without systemd and
# without touching what may run here already.  Sourced after lib.sh.
#
#   lab_need            skips the case's file with a reason where SLURM is not installed
#   lab_up DIR N CPUS   N nodes n1.. of CPUS cores each; sets SLURM_CONF.  Cores are promised, not there.
#   lab_node_dies I     kills node I with all that runs on it, as a power cut would
#   lab_down            ends all of it
#
# Each node has a host name, a /dev/shm and a local disk (DIR/local, a tmpfs) of its own, by namespaces: MPI takes
# ranks for neighbours by the first two, and what a node writes to its disk others must not find.
lab=

lab_need() {
    for program in slurmctld slurmd munged sbatch srun unshare; do
        command -v $program >/dev/null || [ -x /usr/sbin/$program ] || { lab_missing="$program is not installed (./setup does that)"; return 1; }
    done
    [ "$(id -u)" = 0 ] || { lab_missing="a SLURM of one's own needs root here"; return 1; }
    unshare --uts --mount true 2>/dev/null || { lab_missing="this container may not make namespaces"; return 1; }
}

# Ports that no other lab is likely to have: by process number, below those the kernel hands out.
lab_port() { echo $((12000 + $$ % 1900 * 10)); }

lab_conf() {        # NODES CPUS
    host=$(hostname -s) port=$(lab_port)
    cat <<CONF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$lab/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=$port
SlurmctldPidFile=$lab/slurmctld.pid
SlurmctldLogFile=$lab/log/slurmctld
SlurmdPidFile=$lab/%n.pid
SlurmdLogFile=$lab/log/%n
SlurmdSpoolDir=$lab/spool/%n
StateSaveLocation=$lab/state
TmpFS=$lab/tmp/%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=3600
MailProg=/bin/true
NodeName=n[1-$1] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + $1))] CPUs=$2 Sockets=1 CoresPerSocket=$2 ThreadsPerCore=1 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=10 State=UP
CONF
}

# Until COMMAND holds, SECONDS at most.
lab_wait() {
    end=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.2
    done
}

lab_idle() { [ "$(sinfo -h -N -p main -o %t | grep -c '^idle$')" = "$lab_nodes" ]; }

lab_start_node() {
    # The disk is mounted where the node alone sees it.
    unshare --uts --mount --propagation private sh -c "hostname n$1 && mount -t tmpfs -o size=1g tmpfs /dev/shm &&
        mount -t tmpfs -o size=1g tmpfs '$lab/local' && mount --bind '$lab/hosts' /etc/hosts && exec slurmd -N n$1" \
        >>"$lab/log/start" 2>&1
}

lab_up() {
    lab=$1 lab_nodes=$2
    PATH=$PATH:/usr/sbin
    mkdir -p "$lab/munge" "$lab/log" "$lab/state" "$lab/spool" "$lab/local"
    head -c 256 /dev/urandom >"$lab/munge/key"
    chmod 600 "$lab/munge/key"
    munged --force --socket="$lab/munge/socket" --key-file="$lab/munge/key" --log-file="$lab/log/munge" \
        --pid-file="$lab/munge.pid" --seed-file="$lab/munge/seed" --num-threads=2 2>>"$lab/log/start" || return 1
    lab_conf "$2" "$3" >"$lab/slurm.conf"
    { cat /etc/hosts && for i in $(seq "$2"); do echo "127.0.0.1 n$i"; done; } >"$lab/hosts"
    export SLURM_CONF="$lab/slurm.conf"
    slurmctld -c 2>>"$lab/log/start" || return 1
    for i in $(seq "$2"); do
        mkdir -p "$lab/spool/n$i" "$lab/tmp/n$i"        # PMIx of two nodes must not share a folder
        lab_start_node "$i" || return 1
    done
    lab_wait 60 lab_idle
}

lab_why() { tail -n 15 "$lab"/log/* | sed 's/^/    /'; }

# Those whose parent is one of these, and theirs.
lab_below() {
    for p in "$@"; do
        echo "$p"
        below=$(pgrep -P "$p") && lab_below $below
    done
}

lab_node_dies() {
    daemon=$(cat "$lab/n$1.pid")
    steps=$(pgrep -f "slurmstepd: \[" | while read -r p; do
        [ "$(nsenter -t "$p" -u hostname 2>/dev/null)" = "n$1" ] && [ "$(readlink "/proc/$p/ns/uts")" = "$(readlink "/proc/$daemon/ns/uts")" ] && echo "$p"; done)
    kill -9 $(lab_below $daemon $steps) 2>/dev/null
    rm -f "$lab/n$1.pid"
}

lab_alive() {
    for p in "$@"; do
        grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$p/status" && echo "$p"
    done
}

lab_gone() { [ -z "$(lab_alive "$@")" ]; }
lab_empty() { [ -z "$(squeue -h)" ]; }

lab_down() {
    [ -n "$lab" ] || return 0
    scancel --user=root --full >/dev/null 2>&1
    lab_wait 20 lab_empty
    pids=$(cat "$lab"/*.pid 2>/dev/null)
    all=$(lab_below $pids)
    kill $pids 2>/dev/null
    lab_wait 10 lab_gone $all || kill -9 $(lab_alive $all) 2>/dev/null
    lab=
}
