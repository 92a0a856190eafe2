/* A libcuda.so.1 without a GPU that reports which GPUs CUDA would use.
 *
 * STUB_CUDA       the GPUs, a digit each in CUDA's order, such as "10" (default: none)
 * STUB_CUDA_INIT  cuInit returns this code (100 no device)
 */
#include <stdlib.h>
#include <string.h>

static const char *gpus(void) {
  const char *text = getenv("STUB_CUDA");
  return text ? text : "";
}
int cuInit(unsigned flags) {
  const char *code = getenv("STUB_CUDA_INIT");
  (void)flags;
  return code ? atoi(code) : 0;
}
int cuDeviceGetCount(int *count) { *count = (int)strlen(gpus()); return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetUuid_v2(unsigned char *bytes, int device) {
  memset(bytes, 0, 16);
  bytes[15] = (unsigned char)(gpus()[device] - '0');
  return 0;
}
int cuDeviceGetUuid(unsigned char *bytes, int device) { return cuDeviceGetUuid_v2(bytes, device); }
