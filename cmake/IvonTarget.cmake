# ivon_own_target(<target>...): what our own programs are compiled with, and users' programs are not.
#
# Warnings are errors here. LibTorch's headers come from imported targets, so they are system headers and silent.

set(IVON_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)

set(ivon_sanitizer_flags "")
if(IVON_SANITIZE)
  list(JOIN IVON_SANITIZE "," ivon_sanitizers)
  set(ivon_sanitizer_flags -fsanitize=${ivon_sanitizers} -fno-omit-frame-pointer)
  if("undefined" IN_LIST IVON_SANITIZE)
    list(APPEND ivon_sanitizer_flags -fno-sanitize-recover=undefined)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # it sees uninitialised members in LibTorch's data loader that are none
    list(APPEND ivon_sanitizer_flags -Wno-maybe-uninitialized)
  endif()
endif()

# For code that must not need LibTorch: ivon's include path without LibTorch's.
function(ivon_own_target_without_torch)
  foreach(target IN LISTS ARGN)
    target_include_directories(${target} PRIVATE ${ivon_SOURCE_DIR}/include)
    target_compile_options(${target} PRIVATE ${IVON_WARNINGS} ${ivon_sanitizer_flags})
    target_link_options(${target} PRIVATE ${ivon_sanitizer_flags})
    if(NOT CMAKE_CXX_STANDARD)
      set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    endif()
  endforeach()
endfunction()

function(ivon_own_target)
  ivon_own_target_without_torch(${ARGN})
  foreach(target IN LISTS ARGN)
    target_link_libraries(${target} PRIVATE ivon::ivon)
  endforeach()
endfunction()
