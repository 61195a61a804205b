# Finds LibTorch 2.4 or later and sets IVON_TORCH_TARGETS, the targets to link.
#
# find_package(Torch) makes imported targets that are visible in the calling directory and below only. A project that
# adds ivon by add_subdirectory or FetchContent links ivon::ivon from above, so every target is promoted to global.
# A LibTorch that the project has found already is used as it is.

set(ivon_torch_minimum 2.4)

if(NOT TARGET torch)
  find_package(Torch CONFIG QUIET)
  if(NOT Torch_FOUND)
    message(FATAL_ERROR
      "ivon: LibTorch ${ivon_torch_minimum} or later is needed and none was found.\n"
      "Pass its folder: -DCMAKE_PREFIX_PATH=/path/to/libtorch, or, for the one inside Python's torch,\n"
      "  -DCMAKE_PREFIX_PATH=$(python3 -c \"import torch; print(torch.utils.cmake_prefix_path)\")\n"
      "No LibTorch yet? `pip install torch==2.13.0` carries one; tests/run.sh and examples/run.sh do this by "
      "themselves.")
  endif()
  set(ivon_torch_targets torch torch_library torch_cpu torch_cpu_library torch_cuda torch_cuda_library torch_hip
    torch_hip_library torch_xpu torch_xpu_library c10 c10_cuda c10_hip c10_xpu headeronly caffe2::mkl caffe2::mkldnn)
  if(NOT CMAKE_VERSION VERSION_LESS 3.21)
    get_property(ivon_imported DIRECTORY PROPERTY IMPORTED_TARGETS)
    list(APPEND ivon_torch_targets ${ivon_imported})
  endif()
  list(REMOVE_DUPLICATES ivon_torch_targets)
  foreach(target IN LISTS ivon_torch_targets)
    if(TARGET ${target})
      get_target_property(ivon_is_imported ${target} IMPORTED)
      if(ivon_is_imported)
        set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
      endif()
    endif()
  endforeach()
endif()

if(DEFINED Torch_VERSION AND Torch_VERSION VERSION_LESS ivon_torch_minimum)
  message(FATAL_ERROR
    "ivon: LibTorch must be ${ivon_torch_minimum} or later, got ${Torch_VERSION} (${Torch_DIR}); pass another by "
    "-DCMAKE_PREFIX_PATH=/path/to/libtorch")
endif()

# By name, so that nothing of this machine's paths is in them. A static LibTorch has no torch_library.
if(TARGET torch_library)
  set(IVON_TORCH_TARGETS torch torch_library)
else()
  set(IVON_TORCH_TARGETS ${TORCH_LIBRARIES})
endif()
if(ivon_top_level)
  message(STATUS "ivon ${PROJECT_VERSION} with LibTorch ${Torch_VERSION} (${Torch_DIR})")
endif()
