# The examples' programs, built by ivon_example() of the CMakeLists.txt beside this file.
# Each takes --smoke (seconds; what the test suite runs) and, where it writes files, --out.
# fmt's headers only: pip's LibTorch brings a copy of its own (fmt 12), found before the system's, and
# the system's library (fmt 9 in Debian 12) would not fit it.
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB REQUIRED)

ivon_example(quickstart SOURCES quickstart/quickstart.cpp)

ivon_example(migrate_from_adamw SOURCES migrate_from_adamw/migrate_from_adamw.cpp)

ivon_example(regression_1d
  SOURCES regression_1d/regression_1d.cpp common/gnuplot.cpp
  LIBS fmt::fmt-header-only CLI11::CLI11)

ivon_example(logistic_2d
  SOURCES logistic_2d/logistic_2d.cpp common/gnuplot.cpp
  LIBS fmt::fmt-header-only CLI11::CLI11)

include(${CMAKE_CURRENT_LIST_DIR}/fashion_mnist/sources.cmake)
ivon_example(fashion_mnist
  SOURCES ${fashion_mnist_sources}
  LIBS fmt::fmt-header-only CLI11::CLI11 nlohmann_json::nlohmann_json ZLIB::ZLIB)
if(IVON_BUILD_TESTS)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/fashion_mnist)
  add_test(NAME example_fashion_mnist_on_step COMMAND fashion_mnist --smoke --sample-on-step --out on_step
    WORKING_DIRECTORY ${folder})
  add_test(NAME example_fashion_mnist_bf16 COMMAND fashion_mnist --smoke --bf16 --out bf16 WORKING_DIRECTORY ${folder})
  add_test(NAME example_fashion_mnist_no_device COMMAND fashion_mnist --smoke --device cuda:99 --out no_device
    WORKING_DIRECTORY ${folder})
  set_tests_properties(example_fashion_mnist_on_step example_fashion_mnist_bf16 PROPERTIES TIMEOUT 600)
  set_tests_properties(example_fashion_mnist_no_device PROPERTIES TIMEOUT 60
    PASS_REGULAR_EXPRESSION "--device: there is no cuda:99: LibTorch [0-9.a-z+]+ sees [0-9]+ CUDA devices here")
endif()
