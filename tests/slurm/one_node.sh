#!/usr/bin/env bash
# A real SLURM of one node with accounting, for tests: one_node.sh start|stop DIR PORT   (as root)
#   Debian: apt-get install slurmctld slurmd slurm-client munge slurmdbd mariadb-server
# Everything lies in DIR (a short path: it holds sockets) and listens on the loopback, on PORT to PORT+3; nothing
# of the machine's own SLURM, if it has one, is touched. Afterwards: export SLURM_CONF=DIR/slurm.conf
# Partitions: main, and low and high over the same CPUs, where a job of high preempts one of low.
set -euo pipefail
verb=$1 dir=$2 port=${3:-0}
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

no_jobs() { [[ -z $(squeue -h) ]]; }
ended() { ! kill -0 "$1" 2>/dev/null; }

stop() { # jobs outlive their slurmd: they go first
  if squeue -h >/dev/null 2>&1; then
    scancel --user=root
    wait_for 30 no_jobs
  fi
  for daemon in slurmd slurmctld slurmdbd mariadb munged; do
    [[ -s $dir/$daemon.pid ]] || continue
    pid=$(<"$dir/$daemon.pid")
    kill "$pid" 2>/dev/null || continue
    wait_for 20 ended "$pid" || kill -KILL "$pid"
  done
}

configure() {
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
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
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
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE PriorityTier=5 State=UP
PartitionName=low Nodes=$host MaxTime=INFINITE PriorityTier=1 GraceTime=0 State=UP
PartitionName=high Nodes=$host MaxTime=INFINITE PriorityTier=10 State=UP
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
  slurmctld -c
  slurmd
  wait_for 30 idle
}

idle() { sinfo -h -o %T | grep -q idle; }

case $verb in
  start) start ;;
  stop) stop ;;
  *) echo "one_node.sh: start or stop" >&2; exit 2 ;;
esac
