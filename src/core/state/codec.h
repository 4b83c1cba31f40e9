// Records as they are stored: one line of JSON with its format version "v". What a newer build has added is kept when a
// record is rewritten; a version that is newer than ours is refused.
#pragma once

#include <string>

#include "base/error.h"
#include "core/state/records.h"

namespace gantry::state {

inline constexpr int record_version = 1;

std::string encode(const Task& task);
std::string encode(const Artifact& artifact);
std::string encode(const Allocation& allocation);
std::string encode(const Node& node);

/// Errors are `corrupt` (it is not what was written) or `unsupported` (a newer version).
Result<Task> decode_task(std::uint64_t sequence, std::string_view bytes);
Result<Artifact> decode_artifact(std::uint64_t task_sequence, std::string_view bytes);
Result<Allocation> decode_allocation(std::uint64_t task_sequence, std::string_view bytes);
Result<Node> decode_node(std::string_view bytes);

/// Key of an artifact or allocation behind its task's sequence.
std::string artifact_key_name(int run, std::string_view name);

}  // namespace gantry::state
