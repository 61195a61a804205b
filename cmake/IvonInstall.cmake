# Install rules and the package that find_package(ivon) reads. Nothing installed names a path of this machine.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ivon_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/ivon)

target_include_directories(ivon INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ivon DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
  PATTERN "*.hpp" PATTERN "*.inl")
install(TARGETS ivon EXPORT ivonTargets)
install(EXPORT ivonTargets NAMESPACE ivon:: DESTINATION ${ivon_package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ivonConfig.cmake.in
  ${PROJECT_BINARY_DIR}/package/ivonConfig.cmake INSTALL_DESTINATION ${ivon_package_dir})
# Until 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/ivonConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/package/ivonConfig.cmake
  ${PROJECT_BINARY_DIR}/package/ivonConfigVersion.cmake DESTINATION ${ivon_package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ivon)
