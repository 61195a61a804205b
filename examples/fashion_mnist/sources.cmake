# What the program is made of, relative to examples/; for examples/ and for tests/gpu.sh.
set(fashion_mnist_sources
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
  common/table.cpp)
