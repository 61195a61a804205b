// SPDX-License-Identifier: Apache-2.0
// The entry points that NVRTC compiles. With the macros IVON_DTYPE (a number of Dtype) and
// IVON_ESTIMATOR (a name in estimators.inl) these are the passes for that dtype and estimator;
// without them, the kernels that serve all passes.

// __grid_constant__ makes a kernel read its arguments where the launch put them, without a copy. It
// needs compute capability 7.0. For older devices the compiler decides.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 700
#define IVON_ARGUMENT const __grid_constant__
#else
#define IVON_ARGUMENT const
#endif

#if defined(IVON_DTYPE)
// The number of thread blocks that must fit on a multiprocessor at once. Two blocks allow 128
// registers for each thread, which is enough for every dtype but double.
#define IVON_BLOCKS (IVON_DTYPE == 1 ? 1 : 2)
#define IVON_PASS(name, pass)                                                             \
  extern "C" __global__ void __launch_bounds__(ivon::detail::cuda::kThreads, IVON_BLOCKS) \
      name(IVON_ARGUMENT ivon::detail::cuda::Launch launch) {                             \
    ivon::detail::cuda::run_chunk<ivon::detail::cuda::EntryPoint::pass,                   \
                                  static_cast<ivon::detail::Dtype>(IVON_DTYPE),           \
                                  ivon::detail::cuda::IVON_ESTIMATOR>(launch, blockIdx.x, \
                                                                      threadIdx.x);       \
  }
IVON_PASS(ivon_sample, kSample)
IVON_PASS(ivon_accumulate, kAccumulate)
IVON_PASS(ivon_update, kUpdate)
IVON_PASS(ivon_step, kStep)
#else
#define IVON_THREAD (static_cast<ivon::detail::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x)
extern "C" __global__ void ivon_write_page(IVON_ARGUMENT ivon::detail::cuda::Page page) {
  ivon::detail::cuda::write_page(page, IVON_THREAD);
}
extern "C" __global__ void ivon_list_chunks(IVON_ARGUMENT ivon::detail::cuda::Listing listing) {
  ivon::detail::cuda::list_chunk(listing, IVON_THREAD);
}
extern "C" __global__ void ivon_count_updates(IVON_ARGUMENT ivon::detail::cuda::Counting counting) {
  ivon::detail::cuda::count_updates(counting, IVON_THREAD);
}
extern "C" __global__ void ivon_fill(IVON_ARGUMENT ivon::detail::cuda::Filling filling) {
  ivon::detail::cuda::fill_quad(filling, IVON_THREAD);
}
#endif
