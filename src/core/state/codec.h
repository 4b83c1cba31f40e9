// Records as they are stored: one line of JSON with its format version "v". What a newer build has added is kept when a
// record is rewritten; a version that is newer than ours is refused.
#pragma once

#include <string>

#include "base/error.h"
#include "core/state/access_records.h"
#include "core/state/join_records.h"
#include "core/state/neighbour_records.h"
#include "core/state/records.h"

namespace gantry::state {

std::string encode(const Task& task);
std::string encode(const Artifact& artifact);
std::string encode(const Allocation& allocation);
std::string encode(const Node& node);
std::string encode(const Group& group);
std::string encode(const Work& work);
std::string encode(const Client& client);
std::string encode(const Role& role);
std::string encode(const Secret& secret);
std::string encode(const Worker& worker);
std::string encode(const TaskQueue& queue);
std::string encode(const IndexedTask& indexed);
std::string encode(const IndexNamespace& space);
std::string encode(const StoredObject& object);
std::string encode(const PurgeRequest& request);
std::string encode(const JoinToken& token);
std::string encode(const RemovedNode& node);

/// Errors are `corrupt` (it is not what was written) or `unsupported` (a newer version).
Result<Task> decode_task(std::uint64_t sequence, std::string_view bytes);
Result<Artifact> decode_artifact(std::uint64_t task_sequence, std::string_view bytes);
Result<Allocation> decode_allocation(std::uint64_t task_sequence, std::string_view bytes);
Result<Node> decode_node(std::string_view bytes);
/// A task that waits has no Waits::on yet: that is in its definition.
template <class Record>
Result<Record> decode(const Key& key, std::string_view bytes);
template <>
Result<Group> decode<Group>(const Key& key, std::string_view bytes);
template <>
Result<Work> decode<Work>(const Key& key, std::string_view bytes);
template <>
Result<Client> decode<Client>(const Key& key, std::string_view bytes);
template <>
Result<Role> decode<Role>(const Key& key, std::string_view bytes);
template <>
Result<Secret> decode<Secret>(const Key& key, std::string_view bytes);
template <>
Result<Worker> decode<Worker>(const Key& key, std::string_view bytes);
template <>
Result<TaskQueue> decode<TaskQueue>(const Key& key, std::string_view bytes);
template <>
Result<IndexedTask> decode<IndexedTask>(const Key& key, std::string_view bytes);
template <>
Result<IndexNamespace> decode<IndexNamespace>(const Key& key, std::string_view bytes);
template <>
Result<StoredObject> decode<StoredObject>(const Key& key, std::string_view bytes);
template <>
Result<PurgeRequest> decode<PurgeRequest>(const Key& key, std::string_view bytes);
template <>
Result<JoinToken> decode<JoinToken>(const Key& key, std::string_view bytes);
template <>
Result<RemovedNode> decode<RemovedNode>(const Key& key, std::string_view bytes);

/// Key of an artifact or allocation behind its task's sequence.
std::string artifact_key_name(int run, std::string_view name);
/// Key of a group's member behind the group's sequence: in order of creation.
std::string member_key_name(std::uint64_t task_sequence);

}  // namespace gantry::state
