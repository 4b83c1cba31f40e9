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
  meta,             // by name: "clock" (last commit sequence, last time, next record sequence)
  task_id,          // by sequence: a task's slugid; the way back is in memory (server/cold.h), so a new id appends
  definition,       // by sequence: a task's canonical definition; written once
  open_task,        // by sequence: status of a task that is not resolved; all of these are in memory
  resolved_task,    // by sequence: status of a resolved task; cold
  artifact,         // by sequence of its task and "<run>/<name>"
  allocation,       // by sequence of its task and "<run>"; all of these are in memory
  node,             // by name: the node's slugid; all of these are in memory
  group,            // by name: the group's slugid; cold. A group of one task that has its id has none
  group_member,     // by sequence of the group and sequence of the task (16 hex digits) -> the task's slugid
  dependent,        // by sequence of a task and slugid of one that depends on it
  work,             // by sequence: larger work that is continued in steps; all of these are in memory
  worker,           // by name: "<provisioner>/<workerType>/<group>/<id>"; all of these are in memory
  task_queue,       // by name: the queue's id; all of these are in memory
  client,           // by name: the client's id; all of these are in memory
  role,             // by name: the role's id; all of these are in memory
  secret,           // by name: the secret's name; cold
  index_task,       // by name: the index path, with a slash before its last name; cold
  index_namespace,  // by name: as index_task; cold. What has tasks below it
  index_intent,     // by sequence of a task that completed and is not in the index yet -> its slugid
  purge_request,    // by name: "<provisioner>/<workerType>/<cache>"; all of these are in memory
  object,           // by name: the object's name; cold. What the object service stores, not artifacts of type s3
  outbox,           // by sequence: number of the first event in it; what happened, for other systems (design 3.8)
  join_token,       // by name: the token's id; all of these are in memory. Only those that may be used so many times
  removed_node,     // by name: the client id that the node had; all of these are in memory
};
inline constexpr int table_count = 25;

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
    {TableId::task_id, "task_id", KeyShape::by_sequence},
    {TableId::definition, "definition", KeyShape::by_sequence},
    {TableId::open_task, "open_task", KeyShape::by_sequence},
    {TableId::resolved_task, "resolved_task", KeyShape::by_sequence},
    {TableId::artifact, "artifact", KeyShape::by_sequence_and_name},
    {TableId::allocation, "allocation", KeyShape::by_sequence_and_name},
    {TableId::node, "node", KeyShape::by_name},
    {TableId::group, "task_group", KeyShape::by_name},
    {TableId::group_member, "group_member", KeyShape::by_sequence_and_name},
    {TableId::dependent, "dependent", KeyShape::by_sequence_and_name},
    {TableId::work, "work", KeyShape::by_sequence},
    {TableId::worker, "worker", KeyShape::by_name},
    {TableId::task_queue, "task_queue", KeyShape::by_name},
    {TableId::client, "client", KeyShape::by_name},
    {TableId::role, "role", KeyShape::by_name},
    {TableId::secret, "secret", KeyShape::by_name},
    {TableId::index_task, "index_task", KeyShape::by_name},
    {TableId::index_namespace, "index_namespace", KeyShape::by_name},
    {TableId::index_intent, "index_intent", KeyShape::by_sequence},
    {TableId::purge_request, "purge_request", KeyShape::by_name},
    {TableId::object, "object", KeyShape::by_name},
    {TableId::outbox, "outbox", KeyShape::by_sequence},
    {TableId::join_token, "join_token", KeyShape::by_name},
    {TableId::removed_node, "removed_node", KeyShape::by_name},
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
  /// An erase of everything up to and including `key.sequence`; by_sequence tables only.
  bool through = false;
};

}  // namespace gantry::state
