// A directory for one simulation's files, in memory if the system has a place for that; removed at the end. Meanwhile
// it is the process's working directory, so that paths, which end up in messages, are the same in every run of a seed.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

#include <unistd.h>

#include "base/error.h"

namespace gantry::sim {

class ScratchDirectory {
 public:
  /// Throws Error(unavailable).
  ScratchDirectory() {
    std::error_code error;
    std::filesystem::path parent = "/dev/shm";
    if (!std::filesystem::is_directory(parent, error)) parent = std::filesystem::temp_directory_path();
    std::string name = (parent / "gantry-sim-XXXXXX").string();
    if (!::mkdtemp(name.data())) {
      throw Error(ErrorCode::unavailable, "cannot make a directory in " + parent.string(), "set TMPDIR to another one");
    }
    path_ = name;
    before_ = std::filesystem::current_path(error);
    std::filesystem::current_path(path_);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code error;
    std::filesystem::current_path(before_, error);
    std::filesystem::remove_all(path_, error);
  }

 private:
  std::filesystem::path path_;
  std::filesystem::path before_;
};

inline std::size_t count_files(const std::string& directory) {
  auto files = std::filesystem::directory_iterator(directory);
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// The name of one of its files, always the same one; empty if there is none.
inline std::string first_file(const std::string& directory) {
  std::string first;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    std::string name = file.path().filename().string();
    if (first.empty() || name < first) first = std::move(name);
  }
  return first;
}

}  // namespace gantry::sim
