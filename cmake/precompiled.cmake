# Precompiled headers: half the time of a build went into reading the same headers of the standard library and of Boost.
# One of cmake/precompiled/*.h is compiled once a build, and given to every source of a target.

# Tests are compiled without optimisation: what they test is in the libraries, which are not.
function(gantry_test_options target kind)
  if(kind STREQUAL "tests" AND CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# gantry_precompile(target plain|network|tests)
function(gantry_precompile target kind)
  set(owner precompiled_${kind})
  if(NOT TARGET ${owner})
    file(WRITE ${CMAKE_BINARY_DIR}/${owner}.cc "")
    add_library(${owner} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/${owner}.cc)
    # The same macros as the sources that use it, or the compiler refuses it.
    target_link_libraries(${owner} PRIVATE gantry_dependencies $<$<STREQUAL:${kind},tests>:GTest::gtest>)
    target_precompile_headers(${owner} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled/${kind}.h)
    gantry_test_options(${owner} ${kind})
  endif()
  gantry_test_options(${target} ${kind})
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()
