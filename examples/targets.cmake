# The examples' programs, built by ivon_example() of the CMakeLists.txt beside this file.
# Each takes --smoke (seconds; what the test suite runs) and, where it writes files, --out.
ivon_example(quickstart SOURCES quickstart/quickstart.cpp)

ivon_example(migrate_from_adamw SOURCES migrate_from_adamw/migrate_from_adamw.cpp)

ivon_example(skeleton COMMON SOURCES skeleton/skeleton.cpp)

ivon_example(regression_1d COMMON SOURCES regression_1d/regression_1d.cpp)

ivon_example(logistic_2d COMMON SOURCES logistic_2d/logistic_2d.cpp)

include(${CMAKE_CURRENT_LIST_DIR}/fashion_mnist/sources.cmake)
ivon_example(fashion_mnist COMMON SOURCES ${fashion_mnist_sources})
if(IVON_BUILD_TESTS)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/fashion_mnist)
  add_test(NAME example_fashion_mnist_on_step COMMAND fashion_mnist --smoke --sample-on-step --out on_step
    WORKING_DIRECTORY ${folder})
  add_test(NAME example_fashion_mnist_bf16 COMMAND fashion_mnist --smoke --bf16 --out bf16 WORKING_DIRECTORY ${folder})
  add_test(NAME example_fashion_mnist_no_device COMMAND fashion_mnist --smoke --device cuda:99 --out no_device
    WORKING_DIRECTORY ${folder})
  set_tests_properties(example_fashion_mnist_on_step example_fashion_mnist_bf16 PROPERTIES TIMEOUT 600
    ENVIRONMENT "OMP_NUM_THREADS=1")
  set_tests_properties(example_fashion_mnist_no_device PROPERTIES TIMEOUT 60
    PASS_REGULAR_EXPRESSION "--device: there is no cuda:99: LibTorch [0-9.a-z+]+ sees [0-9]+ CUDA devices here")
endif()

# run.sh finds the examples by lines that begin with ivon_example, so these are not indented.
if(IVON_HAS_PNG)
ivon_example(uncertainty COMMON SOURCES ${uncertainty_sources})
target_link_libraries(uncertainty PRIVATE ivon_png)
else()
  message(STATUS "The example uncertainty is left out: it needs libspng (Debian: libspng-dev)")
endif()

if(IVON_HAS_IMAGES)
ivon_example(image_classification COMMON NO_SMOKE SOURCES image_classification/main.cpp)
target_link_libraries(image_classification PRIVATE ivon_image_classification)
  if(IVON_BUILD_TESTS)
    add_test(NAME example_image_classification COMMAND bash ${PROJECT_SOURCE_DIR}/tests/examples/images/program.sh
      $<TARGET_FILE:image_classification> ${CMAKE_CURRENT_LIST_DIR}/image_classification/presets)
    set_tests_properties(example_image_classification PROPERTIES TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=1")
  endif()
else()
  message(STATUS "The example image_classification is left out: it needs libspng and libjpeg "
    "(Debian: libspng-dev libjpeg62-turbo-dev)")
endif()

ivon_example(gpt2 COMMON NO_SMOKE SOURCES gpt2/main.cpp)
target_link_libraries(gpt2 PRIVATE ivon_gpt2)
if(IVON_BUILD_TESTS)
  add_test(NAME example_gpt2 COMMAND bash ${PROJECT_SOURCE_DIR}/tests/examples/text/program.sh $<TARGET_FILE:gpt2>
    ${CMAKE_CURRENT_LIST_DIR}/gpt2/presets)
  set_tests_properties(example_gpt2 PROPERTIES TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=1")
endif()
