// What a payload may say (taskcluster.md 1.2, 1.3): one table of its keys. The parser, the published JSON schema,
// `gantry task features` and the table in docs/tasks.md come from it, so none of them can say what the others do not.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"

namespace gantry::wire {

/// What a text must be, for the parser and for the schema; a test holds the two against each other.
struct TextForm {
  ObjectReader::TextRule rule;
  std::string_view pattern = {};                 // ECMA 262; empty: every text
  std::size_t bytes_max = SIZE_MAX;              // schemas count characters only
  std::span<const std::string_view> words = {};  // if there are some, it must be one of them
};

/// What a value must be.
struct ValueShape {
  enum class Type {
    boolean,
    integer,
    number,
    text,
    time,
    size,    // of memory: bytes as a number, or "256m"
    list,    // of `element`
    map,     // of `element` by names of `form`; without an element: of the object whose keys are at "<path>.*"
    object,  // its keys are those whose place is this key's path
    image,   // a reference, or an object by its `type`: one of the keys at "image"
  };
  Type type = Type::object;
  double min = 0;  // of a number, or of the bytes of a size
  double max = 0;
  const TextForm* form = nullptr;
  const ValueShape* element = nullptr;
  std::size_t count_max = 0;  // of a list, or of a map's members
};

struct PayloadKey {
  std::string_view place;  // the object it stands in: "" for the payload, "features", "artifacts.*" for each artifact
  std::string_view key;
  std::string_view title;
  std::string_view description;  // one sentence or more
  ValueShape shape;
  std::string_view otherwise = {};  // JSON: what holds without it; empty: nothing
  std::string_view scopes = {};     // that the task needs for it; "<name>" stands for the name that it gives
  bool required = false;
  bool plug_in = false;  // an agent can do it only if it has a feature of this path (agent/task/feature.cc)

  /// "features.localLiveLog", "artifacts.<name>.path".
  std::string path() const;
};

/// Every key, those of one place together, in the order in which they are shown.
std::span<const PayloadKey> payload_keys();
/// Those of one place.
std::span<const PayloadKey> payload_keys_at(std::string_view place);
/// The key at this path ("features.dind"). It must be there.
const PayloadKey& payload_key(std::string_view path);

/// A feature that other agents have and ours will not; null if `name` is none of them.
struct NotPlanned {
  std::string_view name;
  std::string_view hint;
};
const NotPlanned* not_planned(std::string_view feature);

/// The JSON schema (draft 6) of payloads, as it is served below /schemas/.
inline constexpr std::string_view payload_schema_path = "docker-worker/v1/payload.json";
std::string payload_schema();

/// The table for people: in Markdown, and as an array of objects.
std::string payload_keys_markdown();
std::string payload_keys_json();

}  // namespace gantry::wire
