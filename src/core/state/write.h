// What a Transaction asks the store to make durable: puts and erases in named tables of one ordered map. The store
// knows these and nothing else of the state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gantry::state {

/// The tables of the store. A value is one JSON record that carries its format version, except where said.
enum class TableId : std::uint8_t {
  meta,           // by name: "clock" (last commit sequence, last time, next record sequence)
  task_id,        // by name: the task's slugid -> its record sequence in decimal
  definition,     // by sequence: a task's canonical definition; written once
  open_task,      // by sequence: status of a task that is not resolved; all of these are in memory
  resolved_task,  // by sequence: status of a resolved task; cold
  artifact,       // by sequence of its task and "<run>/<name>"
  allocation,     // by sequence of its task and "<run>"; all of these are in memory
  node,           // by name: the node's slugid; all of these are in memory
};
inline constexpr int table_count = 8;

/// How a table's keys look; the store lays each shape out as suits it.
enum class KeyShape : std::uint8_t { by_sequence, by_sequence_and_name, by_name };

struct TableInfo {
  TableId id;
  const char* name;
  KeyShape shape;
};
/// In the order of TableId.
inline constexpr TableInfo tables[table_count] = {
    {TableId::meta, "meta", KeyShape::by_name},
    {TableId::task_id, "task_id", KeyShape::by_name},
    {TableId::definition, "definition", KeyShape::by_sequence},
    {TableId::open_task, "open_task", KeyShape::by_sequence},
    {TableId::resolved_task, "resolved_task", KeyShape::by_sequence},
    {TableId::artifact, "artifact", KeyShape::by_sequence_and_name},
    {TableId::allocation, "allocation", KeyShape::by_sequence_and_name},
    {TableId::node, "node", KeyShape::by_name},
};

/// The unused half of a key is 0 or empty. Keys of one table are ordered by (sequence, name as bytes).
struct Key {
  std::uint64_t sequence = 0;
  std::string name;
  friend auto operator<=>(const Key&, const Key&) = default;
};

/// Shared, because a definition is written to the store and kept in the cache of bodies.
using Value = std::shared_ptr<const std::string>;

/// One put, or one erase if there is no value. Erasing what is not there is fine.
struct Write {
  TableId table;
  Key key;
  Value value;
};

}  // namespace gantry::state
