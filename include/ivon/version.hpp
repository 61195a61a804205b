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

// Each version of the library has its own inline namespace, which users need not write: ivon::IVON
// is ivon::v0_1_0::IVON. So the libraries of one program may be built with different versions of
// ivon.
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

/// The first number of the version, the major one.
inline constexpr int kVersionMajor = IVON_VERSION_MAJOR;
/// The second number of the version, the minor one.
inline constexpr int kVersionMinor = IVON_VERSION_MINOR;
/// The third number of the version, the patch.
inline constexpr int kVersionPatch = IVON_VERSION_PATCH;
/// The version as text, "major.minor.patch". The macros IVON_VERSION_MAJOR, IVON_VERSION_MINOR,
/// IVON_VERSION_PATCH and IVON_VERSION_STRING hold the same for the preprocessor.
inline constexpr const char* kVersion = IVON_VERSION_STRING;

IVON_NAMESPACE_END
