#!/usr/bin/env bash
# A real SLURM with accounting, for tests: one_node.sh start|stop DIR PORT [NODES]   (as root)
# Of one node, this machine, or of NODES fake ones on it, n0, n1 ..., each with two GPUs that are not there.
#   Debian: apt-get install slurmctld slurmd slurm-client munge slurmdbd mariadb-server
# Everything lies in DIR (a short path: it holds sockets) and listens on the loopback, on PORT to PORT+3+NODES; nothing
# of the machine's own SLURM, if it has one, is touched. Afterwards: export SLURM_CONF=DIR/slurm.conf
# Partitions: main, and low and high over the same CPUs, where a job of high preempts one of low.
set -euo pipefail
verb=$1 dir=$2 port=${3:-0} nodes=${4:-1}
host=$(hostname -s)
PATH=$PATH:/usr/sbin
export SLURM_CONF=$dir/slurm.conf

wait_for() { # SECONDS COMMAND...: until the command succeeds
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    ((tries--)) || { echo "one_node.sh: gave up on: $*" >&2; exit 1; }
    sleep 0.1
  done
}

# One slurmd needs no name: its node has the name of the machine. The ports of further ones follow the others'.
if ((nodes == 1)); then names=("$host"); else mapfile -t names < <(seq -f n%g 0 $((nodes - 1))); fi
slurmds=("${names[@]/#/slurmd-}")
node_port() { echo $((port + ($1 ? 3 + $1 : 1))); }

no_jobs() { [[ -z $(squeue -h) ]]; }
ended() { ! kill -0 "$1" 2>/dev/null; }

stop() { # jobs outlive their slurmd: they go first
  if squeue -h >/dev/null 2>&1; then
    scancel --user=root
    wait_for 30 no_jobs
  fi
  for daemon in "${slurmds[@]}" slurmctld slurmdbd mariadb munged; do
    [[ -s $dir/$daemon.pid ]] || continue
    pid=$(<"$dir/$daemon.pid")
    kill "$pid" 2>/dev/null || continue
    wait_for 20 ended "$pid" || kill -KILL "$pid"
  done
}

configure() {
  local gres=
  ((nodes == 1)) || gres=' Gres=gpu:2'
  mkdir -p "$dir"/{state,spool,mysql,log}
  chmod 755 "$dir"
  dd if=/dev/urandom of="$dir/munge.key" bs=128 count=1 status=none
  chmod 400 "$dir/munge.key"
  cat >"$dir/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=root
PidFile=$dir/slurmdbd.pid
LogFile=$dir/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 3))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
CommitDelay=1
END
  chmod 600 "$dir/slurmdbd.conf"
  cat >"$dir/slurm.conf" <<END
ClusterName=isoflop
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,requeue_delay=0,default_queue_depth=100
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MaxArraySize=5
KillWait=10
ReturnToService=2
JobRequeue=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$dir/munge.sock
GresTypes=gpu
$(for number in "${!names[@]}"; do
    echo "NodeName=${names[number]} NodeHostname=$host NodeAddr=127.0.0.1 Port=$(node_port "$number")" \
      "CPUs=2 RealMemory=8000 State=UNKNOWN$gres"
  done)
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=5 State=UP
PartitionName=low Nodes=ALL MaxTime=INFINITE PriorityTier=1 GraceTime=0 State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 State=UP
END
}

start() {
  configure
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.sock" --pid-file="$dir/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" 2>/dev/null
  mariadb-install-db --no-defaults --user=root --datadir="$dir/mysql" --skip-test-db \
    --auth-root-authentication-method=socket >"$dir/log/install-db.log" 2>&1
  nohup mariadbd --no-defaults --user=root --datadir="$dir/mysql" --socket="$dir/mysql.sock" \
    --pid-file="$dir/mariadb.pid" --bind-address=127.0.0.1 --port=$((port + 3)) \
    >"$dir/log/mariadb.log" 2>&1 </dev/null &
  sql() { mariadb --no-defaults --socket="$dir/mysql.sock" -e "$1"; }
  wait_for 30 sql "select 1"
  sql "create database slurm; grant all on slurm.* to slurm@'127.0.0.1' identified by 'slurm';
       grant all on slurm.* to slurm@localhost identified by 'slurm'"
  slurmdbd
  wait_for 30 sacctmgr -n show cluster
  sacctmgr -i add cluster isoflop >/dev/null || true
  if ((nodes > 1)); then # SLURM only looks whether the files are there
    printf 'NodeName=%s Name=gpu File=/dev/null\n' "${names[@]}" >"$dir/gres.conf"
    printf 'NodeName=%s Name=gpu File=/dev/zero\n' "${names[@]}" >>"$dir/gres.conf"
  fi
  slurmctld -c
  for name in "${names[@]}"; do slurmd -N "$name"; done
  wait_for 30 idle
}

idle() { [[ $(sinfo -h -p main -t idle -o %D) == "$nodes" ]]; }

case $verb in
  start) start ;;
  stop) stop ;;
  *) echo "one_node.sh: start or stop" >&2; exit 2 ;;
esac
