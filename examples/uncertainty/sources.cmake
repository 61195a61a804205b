# What the program is made of besides the libraries of common/sources.cmake, relative to examples/.
set(uncertainty_tested_sources  # compiled into example_tests, too
  uncertainty/clip_art.cpp
  uncertainty/corruptions.cpp)
set(uncertainty_sources
  ${uncertainty_tested_sources}
  uncertainty/conditions.cpp
  uncertainty/figures.cpp
  uncertainty/main.cpp
  uncertainty/measures.cpp
  uncertainty/methods.cpp
  uncertainty/predictors.cpp
  uncertainty/report.cpp
  uncertainty/training.cpp)
