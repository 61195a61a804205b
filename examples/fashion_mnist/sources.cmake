# What the program is made of besides ${common_sources} (common/sources.cmake), relative to examples/;
# for examples/ and for tests/gpu.sh.
set(fashion_mnist_sources
  fashion_mnist/main.cpp
  fashion_mnist/figures.cpp
  fashion_mnist/report.cpp)
