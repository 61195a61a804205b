// SPDX-License-Identifier: Apache-2.0
// The version of ivon: the only place where it is written. CMake reads the three numbers from here.
#pragma once

#define IVON_VERSION_MAJOR 0
#define IVON_VERSION_MINOR 1
#define IVON_VERSION_PATCH 0

#define IVON_DETAIL_STRING_(x) #x
#define IVON_DETAIL_STRING(x) IVON_DETAIL_STRING_(x)
#define IVON_VERSION_STRING              \
  IVON_DETAIL_STRING(IVON_VERSION_MAJOR) \
  "." IVON_DETAIL_STRING(IVON_VERSION_MINOR) "." IVON_DETAIL_STRING(IVON_VERSION_PATCH)

// Everything public lies in a namespace of its own for each version, which users need not write:
// ivon::IVON is ivon::v0_1_0::IVON. So libraries of one program may be built with different
// versions.
#define IVON_DETAIL_NAMESPACE_(major, minor, patch) v##major##_##minor##_##patch
#define IVON_DETAIL_NAMESPACE(major, minor, patch) IVON_DETAIL_NAMESPACE_(major, minor, patch)
#define IVON_NAMESPACE_BEGIN                                                     \
  namespace ivon {                                                               \
  inline namespace IVON_DETAIL_NAMESPACE(IVON_VERSION_MAJOR, IVON_VERSION_MINOR, \
                                         IVON_VERSION_PATCH) {
#define IVON_NAMESPACE_END \
  }                        \
  }

IVON_NAMESPACE_BEGIN

inline constexpr int kVersionMajor = IVON_VERSION_MAJOR;
inline constexpr int kVersionMinor = IVON_VERSION_MINOR;
inline constexpr int kVersionPatch = IVON_VERSION_PATCH;
inline constexpr const char* kVersion = IVON_VERSION_STRING;  // "major.minor.patch"

IVON_NAMESPACE_END
