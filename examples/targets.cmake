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

ivon_example(fashion_mnist
  SOURCES
    fashion_mnist/main.cpp
    fashion_mnist/checkpoint.cpp
    fashion_mnist/data.cpp
    fashion_mnist/evaluate.cpp
    fashion_mnist/figures.cpp
    fashion_mnist/report.cpp
    fashion_mnist/train.cpp
    common/gnuplot.cpp
    common/idx.cpp
    common/progress.cpp
    common/table.cpp
  LIBS fmt::fmt-header-only CLI11::CLI11 nlohmann_json::nlohmann_json ZLIB::ZLIB)
if(IVON_BUILD_TESTS)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/fashion_mnist)
  add_test(NAME example_fashion_mnist_on_step COMMAND fashion_mnist --smoke --sample-on-step --out on_step
    WORKING_DIRECTORY ${folder})
  set_tests_properties(example_fashion_mnist_on_step PROPERTIES TIMEOUT 600)
endif()
