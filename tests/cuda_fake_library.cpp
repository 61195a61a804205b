// SPDX-License-Identifier: Apache-2.0
// Stands in for libcaffe2_nvrtc.so and libtorch_cuda.so of a CUDA LibTorch in tests of what is
// loaded from where; with IVON_FAKE_HOLLOW without the functions that are looked for.
#include <cstdint>

#if !defined(IVON_FAKE_HOLLOW)
extern "C" {

// The device's number as a handle, and none for device 9.
int32_t aoti_torch_get_current_cuda_stream(int32_t device, void** stream) {
  *stream = reinterpret_cast<void*>(static_cast<intptr_t>(device));
  return device == 9 ? 1 : 0;
}

int nvrtcVersion(int* major, int* minor) {
  *major = 99;
  *minor = 7;
  return 0;
}
#define IVON_FAKE(name) \
  int name() { return 1; }
IVON_FAKE(nvrtcGetNumSupportedArchs)
IVON_FAKE(nvrtcGetSupportedArchs)
IVON_FAKE(nvrtcCreateProgram)
IVON_FAKE(nvrtcCompileProgram)
IVON_FAKE(nvrtcGetProgramLogSize)
IVON_FAKE(nvrtcGetProgramLog)
IVON_FAKE(nvrtcGetCUBINSize)
IVON_FAKE(nvrtcGetCUBIN)
IVON_FAKE(nvrtcGetPTXSize)
IVON_FAKE(nvrtcGetPTX)
IVON_FAKE(nvrtcDestroyProgram)
IVON_FAKE(nvrtcGetErrorString)

}  // extern "C"
#endif
