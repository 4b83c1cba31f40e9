#include "core/queue/expire.h"

#include "core/queue/limits.h"
#include "core/state/codec.h"

namespace gantry::queue {

using state::Artifact;
using state::Group;
using state::TableId;
using state::Task;

namespace {

/// The task, its group and its row there.
constexpr std::size_t last_operations = 3;

void leave_group(state::Transaction& tx, const Task& task) {
  const Group* group = tx.find<Group>(task.group);
  if (!group) return;
  tx.put_row(TableId::group_member, {group->sequence, state::member_key_name(task.sequence)}, nullptr);
  tx.update<Group>(task.group, [](Group& changed) { --changed.tasks; });
}

template <class Record, class IsGone>
bool expire_records(state::Transaction& tx, IsGone is_gone) {
  std::vector<typename Record::Id> gone;
  tx.state().table<Record>().for_each([&](const Record& record) {
    if (gone.size() <= state::operations_max && is_gone(record)) gone.push_back(record.key());
  });
  for (const auto& id : gone) {
    if (!tx.has_room(1)) return true;
    tx.erase<Record>(id);
  }
  return false;
}

}  // namespace

Expiry expire_task(state::Transaction& tx, TaskId id, std::span<const state::Key> dependent_rows) {
  const Task* task = tx.find<Task>(id);
  if (!task) return Expiry::done;
  if (!task->resolved() || task->expires > tx.now() || !tx.state().artifacts_loaded(id)) return Expiry::not_yet;
  auto names = tx.state().artifacts_of(id);  // a copy: erasing changes it
  for (const auto& [run, name] : names) {
    if (!tx.has_room(1)) return Expiry::more;
    tx.erase<Artifact>({id, run, name});
  }
  for (const state::Key& key : dependent_rows) {
    GANTRY_ASSERT(key.sequence == task->sequence);
    if (!tx.has_room(1)) return Expiry::more;
    tx.put_row(TableId::dependent, key, nullptr);
  }
  if (!tx.has_room(last_operations)) return Expiry::more;
  leave_group(tx, *task);
  tx.erase<Task>(id);
  return Expiry::done;
}

Expiry expire_artifact(state::Transaction& tx, const state::ArtifactId& id) {
  const Artifact* artifact = tx.find<Artifact>(id);
  if (!artifact) return Expiry::done;
  if (artifact->expires > tx.now()) return Expiry::not_yet;
  tx.erase<Artifact>(id);
  return Expiry::done;
}

Expiry expire_group(state::Transaction& tx, TaskGroupId id) {
  const Group* group = tx.find<Group>(id);
  if (!group) return Expiry::done;
  if (group->expires > tx.now() || group->tasks > 0) return Expiry::not_yet;
  tx.erase<Group>(id);
  return Expiry::done;
}

bool expire_workers(state::Transaction& tx) {
  return expire_records<state::Worker>(tx, [&](const state::Worker& worker) {
    return worker.expires <= tx.now() && worker.quarantine_until <= tx.now();
  });
}

bool expire_task_queues(state::Transaction& tx) {
  return expire_records<state::TaskQueue>(tx, [&](const state::TaskQueue& queue) {
    return queue.expires <= tx.now() && tx.state().pending(queue.id).empty();
  });
}

}  // namespace gantry::queue
