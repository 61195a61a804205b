# The target ivon_torch_by_path: LibTorch in the folder IVON_TORCH (include/ and lib/, as in Python's package), linked by path.
# For machines with a CUDA LibTorch but no CUDA toolkit: LibTorch's own CMake files would ask for one, which ivon does
# not need.
add_library(ivon_torch_by_path INTERFACE)
target_include_directories(ivon_torch_by_path SYSTEM INTERFACE
  ${IVON_TORCH}/include ${IVON_TORCH}/include/torch/csrc/api/include)
foreach(name IN ITEMS torch torch_cpu torch_cuda c10 c10_cuda)
  if(EXISTS ${IVON_TORCH}/lib/lib${name}.so)
    # Some register themselves and are named by nobody.
    target_link_libraries(ivon_torch_by_path INTERFACE -Wl,--no-as-needed ${IVON_TORCH}/lib/lib${name}.so)
  endif()
endforeach()
target_link_options(ivon_torch_by_path INTERFACE -Wl,--allow-shlib-undefined)
target_compile_definitions(ivon_torch_by_path INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
