# The tests of the CUDA path that need no GPU; run.sh brings what they need, and what is missing is shown as skipped.
set(IVON_NVRTC "" CACHE FILEPATH "A libnvrtc.so, to compile the CUDA kernels in tests")
set(IVON_OLDEST_NVRTC "" CACHE FILEPATH "The oldest libnvrtc.so that a LibTorch brings, likewise")
set(IVON_OLDEST_TORCH_HEADERS "" CACHE PATH "A folder with torch/include of the oldest LibTorch, to compile against in tests")
set(IVON_CUDA_TORCH_HEADERS "" CACHE PATH "A folder with torch/include of a CUDA LibTorch, to compile against in tests")

# The kernels' text on the host, linked into every test program with LibTorch.
add_library(ivon_test_cuda_on_host OBJECT cuda_on_host.cpp)
ivon_own_target_without_torch(ivon_test_cuda_on_host)

# ivon_skipped_test(<name> <reason>)
function(ivon_skipped_test name reason)
  add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo "skipped: ${reason}")
  set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped:")
endfunction()

# ivon_headers_test(<name> <folder with torch/include> <C++ standard>): everything of ivon against those headers.
function(ivon_headers_test name folder standard)
  set(headers ${folder}/torch/include)
  if(EXISTS ${headers}/ATen/ATen.h AND NOT IVON_SANITIZE)
    add_test(NAME ${name} COMMAND ${CMAKE_CXX_COMPILER} -std=c++${standard} -fsyntax-only ${IVON_WARNINGS}
      -I${PROJECT_SOURCE_DIR}/include -isystem ${headers} -isystem ${headers}/torch/csrc/api/include
      ${CMAKE_CURRENT_SOURCE_DIR}/libtorch_headers.cpp)
  else()
    ivon_skipped_test(${name} "no headers of that LibTorch here")
  endif()
endfunction()

function(ivon_cuda_tests)
  ivon_test(cuda_tests SOURCES cuda_passes cuda_graph)
  ivon_test(cuda_kernels_tests NO_TORCH SOURCES cuda_kernels)
  target_sources(cuda_kernels_tests PRIVATE $<TARGET_OBJECTS:ivon_test_cuda_on_host>)
  target_link_libraries(cuda_kernels_tests PRIVATE ${CMAKE_DL_LIBS})

  # Everything about the optimizer once more by way of the CUDA passes.
  foreach(name IN ITEMS optimizer_tests misuse_tests on_step_tests state_tests value_tests)
    # The last one compares with the CPUs' noise.
    add_test(NAME ${name}_cuda_on_host
      COMMAND ${name} --gtest_filter=-Metrics*:Schedule*:SerializationOfTheFirstStream.GoesOnWithIt)
    set_tests_properties(${name}_cuda_on_host PROPERTIES TIMEOUT 1200
      ENVIRONMENT "IVON_TEST_CUDA_ON_HOST=1;${ivon_test_environment}")
  endforeach()

  # NVRTC needs libnvrtc-builtins, which lies beside it.
  ivon_test(cuda_compile_tests NO_TORCH SOURCES cuda_compile cuda_library)
  target_link_libraries(cuda_compile_tests PRIVATE ${CMAKE_DL_LIBS})
  get_filename_component(folder "${IVON_NVRTC}" DIRECTORY)
  get_filename_component(oldest_folder "${IVON_OLDEST_NVRTC}" DIRECTORY)
  set_tests_properties(cuda_compile_tests PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED.*EveryModule"
    ENVIRONMENT "IVON_NVRTC=${IVON_NVRTC};IVON_OLDEST_NVRTC=${IVON_OLDEST_NVRTC};\
LD_LIBRARY_PATH=${folder}:${oldest_folder}:$ENV{LD_LIBRARY_PATH};${ivon_test_environment}")

  # Stand-ins for libraries of a CUDA LibTorch: whole, and without the functions that are looked for.
  set(fakes ${CMAKE_CURRENT_BINARY_DIR}/fake_libtorch)
  target_compile_definitions(cuda_compile_tests PRIVATE IVON_TEST_FAKE_LIBTORCH="${fakes}")
  foreach(kind IN ITEMS whole hollow)
    foreach(name IN ITEMS caffe2_nvrtc torch_cuda)
      set(target ivon_fake_${kind}_${name})
      add_library(${target} MODULE cuda_fake_library.cpp)
      set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${fakes}/${kind})
      target_compile_definitions(${target} PRIVATE $<$<STREQUAL:${kind},hollow>:IVON_FAKE_HOLLOW>)
      add_dependencies(cuda_compile_tests ${target})
    endforeach()
  endforeach()

  find_program(IVON_NVCC nvcc)
  if(IVON_NVCC AND NOT IVON_SANITIZE)
    add_test(NAME cuda_nvcc COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/cuda_nvcc.sh ${IVON_NVCC} ${CMAKE_CXX_COMPILER})
  else()
    ivon_skipped_test(cuda_nvcc "no nvcc here")
  endif()

  ivon_headers_test(cuda_libtorch_headers "${IVON_CUDA_TORCH_HEADERS}" 20)
  ivon_headers_test(oldest_libtorch_headers "${IVON_OLDEST_TORCH_HEADERS}" 17)

  # What the two scripts for machines with a GPU do without one.
  get_filename_component(torch "${Torch_DIR}/../../.." ABSOLUTE)
  if(EXISTS ${torch}/lib/libtorch_cpu.so AND EXISTS /usr/src/googletest/CMakeLists.txt AND NOT IVON_SANITIZE)
    add_test(NAME gpu_tests_on_host COMMAND bash ${PROJECT_SOURCE_DIR}/tests/gpu.sh --on-host)
    add_test(NAME gpu_benchmark_on_cpu COMMAND bash ${PROJECT_SOURCE_DIR}/benchmarks/gpu.sh --on-cpu)
    set_tests_properties(gpu_tests_on_host gpu_benchmark_on_cpu PROPERTIES TIMEOUT 1200 RUN_SERIAL ON
      ENVIRONMENT "IVON_TORCH=${torch};PYTHON=python3")
  else()
    ivon_skipped_test(gpu_tests_on_host "needs GoogleTest's sources and a LibTorch of shared libraries")
    ivon_skipped_test(gpu_benchmark_on_cpu "needs a LibTorch of shared libraries")
  endif()
endfunction()
