# The sources of examples/common, relative to examples/: one library for all examples and for tests/examples.
# It needs fmt (header-only), CLI11, nlohmann/json and zlib.
set(common_sources
  common/atomic_file.cpp
  common/checkpoint.cpp
  common/classification.cpp
  common/data/fashion_mnist.cpp
  common/data/idx.cpp
  common/gnuplot.cpp
  common/interrupt.cpp
  common/models/fashion_training.cpp
  common/optimizers.cpp
  common/program.cpp
  common/progress.cpp
  common/run_log.cpp
  common/settings.cpp
  common/table.cpp
  common/training.cpp)

# For the examples that read PNG files. It needs libspng, which the library of all examples does without.
set(png_sources common/data/png.cpp)
