// Holds a payload against the table of keys (payload_keys.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace gantry::wire {

struct PayloadVerdict {
  /// The first thing that is wrong; what the schema refuses goes before what it cannot know.
  std::optional<Error> error;
  /// Paths of the keys that ask for a feature of the agent: those that are neither false nor empty.
  std::vector<std::string> plug_ins;
};

PayloadVerdict check_payload(const json::value& payload);

/// Bytes of a size that check_payload() has accepted.
std::int64_t size_bytes(const json::value& size);

}  // namespace gantry::wire
