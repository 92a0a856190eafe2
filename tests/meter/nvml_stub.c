/* A libnvidia-ml.so.1 without a GPU, for the real nvidia-ml-py bindings: two GPUs that follow a power law and
 * fail on demand. Settings come from the environment; a fault with a FILE is active while that file exists.
 *
 * STUB_LAW         "constant W" | "step W0 W1 t" | "ramp W0 W_per_s" | "square W0 W1 period" | "log FILE": lines of
 *                  "t W" on CLOCK_MONOTONIC, ascending: W watts from t on (0 W before the first)
 * STUB_SENSOR      what a power reading returns: "boxcar s": the mean of the last s seconds; "duty on period": the
 *                  mean of the first `on` seconds of the period before (default: the power now)
 * STUB_EPOCH       zero of the law's time on CLOCK_MONOTONIC (default: the start of NVML)
 * STUB_UPDATE      seconds between updates of the energy counter (0.1)
 * STUB_INIT        nvmlInit returns this code (9 driver not loaded, 12 library not found)
 * STUB_NO_COUNTER, STUB_NO_POWER, STUB_NO_INSTANT    set: the reading is not supported
 * STUB_GPU         index of the only GPU that has the faults below (default: both)
 * STUB_LOST=FILE   the GPU is lost
 * STUB_DEAF=FILE   power and counter are not supported
 * STUB_RESET=FILE  the counter starts again from 0
 * STUB_BACK=FILE   the counter reads 1 kJ too little
 * STUB_ZERO=FILE   power reads 0 W
 * STUB_FALSE=FILE  power reads 2^32-1 mW, and successfully so; STUB_FALSE_STATE: clock and temperature likewise
 * STUB_FROZEN=FILE power reads what it read first while the file existed
 * STUB_JUMP=FILE   the counter reads 1 MJ too much; STUB_UNIT: factor by which it always counts too much
 * STUB_BUSY        percent of the time in which kernels run (not supported without it)
 * STUB_SLOW=FILE   the next power reading takes STUB_SLOW_SECONDS, once
 * STUB_HOT=FILE    24 degrees warmer; STUB_CAPPED=FILE: the power cap is 250 W
 * STUB_THROTTLE    bits of the throttle reasons (0x24); STUB_PROCESSES: compute processes on GPU 0 (1)
 * STUB_OTHER       set: GPU 1 has another name
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OK, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { FIELD_POWER_INSTANT = 186, UNSIGNED_INT = 1 };
typedef struct { int index; } *device_t;
typedef struct {
  unsigned field, scope;
  long long timestamp, latency;
  unsigned type;
  int result;
  union { double real; unsigned whole; unsigned long long wide; } value;
} field_t;

static struct { int index; } gpus[2] = {{0}, {1}};
static double epoch = -1;
static int slept[2];
static unsigned frozen[2]; /* the reading that is repeated */
static double zero[2]; /* what the counter had counted when it was reset */

static double number(const char *name, double otherwise) {
  const char *text = getenv(name);
  return text ? atof(text) : otherwise;
}
static int due(const char *name, device_t d) {
  const char *path = getenv(name);
  return path && number("STUB_GPU", d->index) == d->index && !access(path, F_OK);
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9 - epoch;
}
static void uuid(int i, char *to, unsigned n) { snprintf(to, n, "GPU-00000000-0000-0000-0000-00000000000%d", i); }

/* Watts at t, and joules from 0 to t in closed form. */
static double power(double t, double *joules) {
  const char *text = getenv("STUB_LAW");
  char law[16] = "constant";
  double a = 300, b = 0, c = 0;
  if (text) sscanf(text, "%15s %lf %lf %lf", law, &a, &b, &c);
  if (!strcmp(law, "log")) {
    FILE *log = fopen(text + 4, "r");
    double at, watts, from = 0, level = 0, end = t + epoch;
    *joules = 0;
    while (log && fscanf(log, "%lf %lf", &at, &watts) == 2 && at <= end) {
      *joules += level * (at - from);
      from = at;
      level = watts;
    }
    if (log) fclose(log);
    *joules += level * (end - from);
    return level;
  }
  if (!strcmp(law, "step")) {
    *joules = a * t + (t > c ? (b - a) * (t - c) : 0);
    return t > c ? b : a;
  }
  if (!strcmp(law, "ramp")) {
    *joules = a * t + b * t * t / 2;
    return a + b * t;
  }
  if (!strcmp(law, "square")) {
    double whole = floor(t / c), rest = t - whole * c;
    *joules = whole * c * (a + b) / 2 + (rest < c / 2 ? a * rest : a * c / 2 + b * (rest - c / 2));
    return rest < c / 2 ? a : b;
  }
  *joules = a * t;
  return a;
}

/* What a power reading returns. */
static double sensed(double t) {
  const char *text = getenv("STUB_SENSOR");
  char kind[16] = "now";
  double a = 0, b = 1, before, after;
  if (text) sscanf(text, "%15s %lf %lf", kind, &a, &b);
  if (!strcmp(kind, "boxcar")) {
    power(t - a, &before);
    power(t, &after);
    return (after - before) / a;
  }
  if (!strcmp(kind, "duty")) {
    double begin = (floor(t / b) - 1) * b;
    power(begin, &before);
    power(begin + a, &after);
    return (after - before) / a;
  }
  return power(t, &before);
}

static int fault(device_t d) { return due("STUB_LOST", d) ? GPU_IS_LOST : due("STUB_DEAF", d) ? NOT_SUPPORTED : OK; }
static int read_power(device_t d, unsigned *milliwatts) {
  if (getenv("STUB_NO_POWER")) return NOT_SUPPORTED;
  if (due("STUB_SLOW", d) && !slept[d->index]) {
    double wait = number("STUB_SLOW_SECONDS", 0);
    struct timespec t = {(long)wait, (long)((wait - (long)wait) * 1e9)};
    slept[d->index] = 1;
    nanosleep(&t, NULL);
  }
  *milliwatts = due("STUB_ZERO", d) ? 0 : (unsigned)(1e3 * sensed(now()) + 0.5);
  if (due("STUB_FALSE", d)) *milliwatts = 4294967295u;
  if (due("STUB_FROZEN", d)) *milliwatts = frozen[d->index] = frozen[d->index] ? frozen[d->index] : *milliwatts;
  return fault(d);
}

int nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  if (epoch < 0) { epoch = 0; epoch = number("STUB_EPOCH", now()); }
  return (int)number("STUB_INIT", OK);
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "stub"; }
int nvmlSystemGetDriverVersion(char *to, unsigned n) { snprintf(to, n, "550.54.15"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { if (i > 1) return INVALID_ARGUMENT; *h = &gpus[i]; return OK; }
int nvmlDeviceGetHandleByUUID(const char *wanted, void **h) {
  for (int i = 0; i < 2; i++) {
    char mine[80];
    uuid(i, mine, sizeof mine);
    if (!strcmp(mine, wanted)) { *h = &gpus[i]; return OK; }
  }
  if (!strncmp(wanted, "MIG-", 4)) { *h = &gpus[0]; return OK; } /* every MIG instance is one of GPU 0 */
  return NOT_FOUND;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device_t instance, void **gpu) { *gpu = instance; return OK; }
int nvmlDeviceGetUUID(device_t d, char *to, unsigned n) { uuid(d->index, to, n); return OK; }
int nvmlDeviceGetName(device_t d, char *to, unsigned n) {
  snprintf(to, n, d->index && getenv("STUB_OTHER") ? "NVIDIA Other" : "NVIDIA Stub");
  return OK;
}
int nvmlDeviceGetEnforcedPowerLimit(device_t d, unsigned *milliwatts) { *milliwatts = due("STUB_CAPPED", d) ? 250000 : 400000; return d->index ? NOT_SUPPORTED : OK; }
int nvmlDeviceGetTemperature(device_t d, int sensor, unsigned *celsius) { (void)sensor; *celsius = getenv("STUB_FALSE_STATE") ? 4294967295u : due("STUB_HOT", d) ? 85 : 61; return OK; }
int nvmlDeviceGetClockInfo(device_t d, int kind, unsigned *mhz) { (void)d; *mhz = getenv("STUB_FALSE_STATE") ? 4294967295u : kind == 1 ? 1410 : 0; return OK; }
int nvmlDeviceGetUtilizationRates(device_t d, unsigned *gpu_memory) { (void)d; gpu_memory[0] = (unsigned)number("STUB_BUSY", 0); gpu_memory[1] = 0; return getenv("STUB_BUSY") ? OK : NOT_SUPPORTED; }
int nvmlDeviceGetCurrentClocksEventReasons(device_t d, unsigned long long *bits) { (void)d; *bits = (unsigned long long)number("STUB_THROTTLE", 0x24); return OK; }
int nvmlDeviceGetComputeRunningProcesses_v3(device_t d, unsigned *n, void *to) {
  struct { unsigned pid; unsigned long long bytes; unsigned a, b; } *process = to;
  if (d->index) return NOT_SUPPORTED;
  unsigned count = (unsigned)number("STUB_PROCESSES", 1);
  if (!to && count) { *n = count; return INSUFFICIENT_SIZE; }
  *n = count;
  for (unsigned i = 0; i < count; i++) {
    process[i].pid = 4321 + i;
    process[i].bytes = 1 << 20;
  }
  return OK;
}
int nvmlDeviceGetPowerUsage(device_t d, unsigned *milliwatts) { return read_power(d, milliwatts); }
int nvmlDeviceGetFieldValues(device_t d, int n, field_t *fields) {
  for (int i = 0; i < n; i++) {
    fields[i].result = NOT_SUPPORTED;
    if (fields[i].field != FIELD_POWER_INSTANT || getenv("STUB_NO_INSTANT")) continue;
    fields[i].type = UNSIGNED_INT;
    fields[i].result = read_power(d, &fields[i].value.whole);
  }
  return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(device_t d, unsigned long long *millijoules) {
  double update = number("STUB_UPDATE", 0.1), joules;
  if (getenv("STUB_NO_COUNTER")) return NOT_SUPPORTED;
  power(floor(now() / update) * update, &joules);
  if (due("STUB_RESET", d) && !zero[d->index]) zero[d->index] = joules;
  joules += zero[d->index] ? -zero[d->index] : 1e4;
  joules += (due("STUB_JUMP", d) ? 1e6 : 0) - (due("STUB_BACK", d) ? 1e3 : 0);
  *millijoules = (unsigned long long)(1e3 * joules * number("STUB_UNIT", 1));
  return fault(d);
}
/* Properties of a GPU. STUB_MIG: MIG mode is on. STUB_NO_FACTS: none of these is supported; STUB_FACT_ERROR: they
 * fail with that code. */
static int fact(void) { return getenv("STUB_NO_FACTS") ? NOT_SUPPORTED : (int)number("STUB_FACT_ERROR", OK); }
int nvmlDeviceGetPowerManagementDefaultLimit(device_t d, unsigned *milliwatts) { (void)d; *milliwatts = 450000; return fact(); }
int nvmlDeviceGetMaxClockInfo(device_t d, int kind, unsigned *mhz) { (void)d; *mhz = kind == 1 ? 1980 : 0; return fact(); }
int nvmlDeviceGetMemoryInfo(device_t d, unsigned long long *total_free_used) {
  (void)d;
  total_free_used[0] = 80ull << 30;
  total_free_used[1] = total_free_used[2] = 40ull << 30;
  return fact();
}
int nvmlDeviceGetPersistenceMode(device_t d, unsigned *on) { (void)d; *on = 1; return fact(); }
int nvmlDeviceGetMigMode(device_t d, unsigned *current, unsigned *pending) {
  (void)d;
  *current = *pending = getenv("STUB_MIG") != NULL;
  return fact();
}
