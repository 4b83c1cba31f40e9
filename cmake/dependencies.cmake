# Everything Gantry links against; all of it from Debian 12's packages (scripts/lib/install.sh installs them).
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(SQLite3 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GTest QUIET)  # tests only
find_library(PROMETHEUS_CORE prometheus-cpp-core REQUIRED)
find_library(RABBITMQ rabbitmq REQUIRED)
find_library(ZSTD zstd REQUIRED)
find_library(LZ4 lz4 REQUIRED)
find_library(RNP rnp REQUIRED)
find_library(MALLOC jemalloc REQUIRED)  # of the programs: a quarter less processor time a request than libc's

set(GANTRY_SANITIZE "" CACHE STRING "Sanitizers for every target, as for -fsanitize=")

add_library(gantry_dependencies INTERFACE)
target_link_libraries(gantry_dependencies INTERFACE
  Threads::Threads OpenSSL::SSL OpenSSL::Crypto Boost::json Boost::url fmt::fmt spdlog::spdlog ZLIB::ZLIB
  ${ZSTD} ${LZ4})
target_compile_definitions(gantry_dependencies INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  GANTRY_VERSION="${PROJECT_VERSION}")
target_compile_options(gantry_dependencies INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
target_include_directories(gantry_dependencies INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(gantry_dependencies INTERFACE "SHELL:-Xclang -fno-pch-timestamp")  # so that ccache knows them again
target_link_options(gantry_dependencies INTERFACE -fuse-ld=lld)

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")  # asserts stay on: no NDEBUG
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
endif()
if(GANTRY_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
  target_compile_options(gantry_dependencies INTERFACE
    -fsanitize=${GANTRY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(gantry_dependencies INTERFACE -fsanitize=${GANTRY_SANITIZE})
  if(GANTRY_SANITIZE MATCHES "address")
    target_compile_options(gantry_dependencies INTERFACE -fsanitize=fuzzer-no-link)  # coverage for the fuzzers
  endif()
endif()
