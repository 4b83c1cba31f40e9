// What the container of a run does, decided by the seed: how long it runs, what it writes when, how it ends, and which
// files it leaves. Its output is a pattern of the run, the stream and the offset, so that a gap or a repetition shows;
// the two streams use different letters, so that they can be told apart in a log that merges them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/node_messages.h"

namespace gantry::sim {

struct OutputPlan {
  std::int64_t at_us = 0;  // after the start
  int stream = 1;
  std::int64_t bytes = 0;
};

struct ContainerPlan {
  std::vector<OutputPlan> output;  // in order of time
  std::int64_t length_us = 0;
  int exit_code = 0;
  bool out_of_memory = false;
  bool ignores_term = false;
  bool has_files = true;  // those that artifacts are made of
};

ContainerPlan plan_container(std::uint64_t seed, const wire::RunRef& run);

/// `count` bytes of a stream from `offset`.
std::string output_bytes(const wire::RunRef& run, int stream, std::int64_t offset, std::int64_t count);

/// The bytes of one stream in a log, without the agent's own lines; nothing if there is anything else in the log.
std::optional<std::string> stream_in_log(std::string_view log, int stream);

struct ContainerFile {
  std::string path;  // absolute
  std::string content;
};
/// What every container that has files has: `output_file` and what is below `output_directory`.
std::vector<ContainerFile> container_files(const wire::RunRef& run);
inline constexpr std::string_view output_file = "/out/result.txt";
inline constexpr std::string_view output_directory = "/out";

/// A tar archive of a file or a directory, as an engine makes it; nothing if there is no such path.
std::optional<std::string> archive_of(const std::vector<ContainerFile>& files, std::string_view path);

}  // namespace gantry::sim
