#include "core/queue/work.h"

#include "base/planted.h"
#include "core/queue/group.h"
#include "core/queue/limits.h"
#include "core/queue/priority.h"
#include "core/queue/release.h"

namespace gantry::queue {

using state::TableId;
using state::Task;
using state::Work;

namespace {

bool step(state::Transaction& tx, Work& work) {
  switch (work.kind) {
    case Work::Kind::link: return continue_link(tx, work);
    case Work::Kind::release: return continue_release(tx, work);
    case Work::Kind::cancel_group: return continue_cancel_group(tx, work);
    case Work::Kind::prioritize_group: return continue_prioritize_group(tx, work);
    case Work::Kind::pull: return continue_pull(tx, work);
    case Work::Kind::group_pulls: return continue_group_pulls(tx, work);
  }
  return true;
}

/// The group's root, if it is to be worked on; it has no place in the line of open tasks.
const Task* root_to_visit(const state::State& state, const Work& work) {
  const auto* row = state.table<Task>().find(work.task);
  if (!row || row->record.group != work.task || row->record.resolved()) return nullptr;
  return row->record.sequence <= work.through ? &row->record : nullptr;
}

}  // namespace

bool continue_link(state::Transaction& tx, Work& work) {
  std::string name = work.task.to_string();
  while (!work.links.empty()) {
    if (!tx.has_room(1 + work_operations)) return false;
    tx.put_row(TableId::dependent, {work.links.back(), name}, std::make_shared<const std::string>("{}"));
    work.links.pop_back();
  }
  return true;
}

bool for_open_tasks(state::Transaction& tx, Work& work, std::size_t operations,
                    const std::function<void(const Task&)>& act) {
  const Task* root = work.position == 0 ? root_to_visit(tx.state(), work) : nullptr;
  if (root) {
    if (!tx.has_room(operations + work_operations)) return false;
    act(*root);
  }
  for (std::size_t visits = 0; visits < work_visits_max; ++visits) {
    const auto& line = tx.state().open_in_group(work.task);
    auto next = line.after({work.position, last_task_id});
    if (next == line.end() || next->first > work.through) return true;
    if (!tx.has_room(operations + work_operations)) return false;
    work.position = next->first;
    act(*tx.find<Task>(next->second));
  }
  return false;
}

void start_work(state::Transaction& tx, Work work, bool (*first_step)(state::Transaction&, Work&)) {
  work.through = tx.state().last_sequence();
  work.created = tx.now();
  if (first_step(tx, work) || planted(PlantedBug::work_stops_at_first_step)) return;
  work.id = tx.next_sequence();
  tx.insert(std::move(work));
}

bool continue_work(state::Transaction& tx) {
  const auto& works = tx.state().works();
  if (works.empty()) return false;
  std::uint64_t id = *works.begin();
  Work work = *tx.find<Work>(id);
  bool finished = step(tx, work);
  tx.erase<Work>(id);
  if (!finished) {
    work.id = tx.next_sequence();
    tx.insert(std::move(work));
  }
  return !tx.state().works().empty();
}

}  // namespace gantry::queue
