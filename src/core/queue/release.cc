#include "core/queue/release.h"

#include "base/planted.h"
#include "core/queue/limits.h"
#include "core/queue/work.h"

namespace gantry::queue {

using state::Change;
using state::Task;
using state::TaskState;
using state::Waits;
using state::Work;

namespace {

/// The bit of this dependency becomes set; it must not be set yet.
std::shared_ptr<const Waits> met(const Waits& before, TaskId dependency) {
  auto found = std::ranges::find(*before.on, dependency);
  auto index = static_cast<std::size_t>(found - before.on->begin());
  GANTRY_ASSERT(index < before.on->size() && !before.is_met(index));
  auto after = std::make_shared<Waits>(before);
  after->met[index / 64] |= std::uint64_t{1} << (index % 64);
  --after->left;
  return after;
}

/// One dependent hears of the end.
void tell(state::Transaction& tx, const Task& dependent, TaskId dependency) {
  auto waits = met(*dependent.waits, dependency);
  bool free = waits->left == 0 && !waits->until_scheduled && dependent.deadline > tx.now();
  if (free) return make_pending(tx, dependent.id);
  tx.update<Task>(dependent.id, [&](Task& changed) { changed.waits = std::move(waits); });
}

/// Tells the dependents after `position` up to `through`; false if the transaction is full, and then `position` is
/// where to go on.
bool tell_some(state::Transaction& tx, TaskId task, bool completed, std::uint64_t& position, std::uint64_t through) {
  static constexpr std::size_t operations = 1 + work_operations;  // the dependent, and work for the rest
  for (std::size_t visits = 0; visits < work_visits_max; ++visits) {
    const auto& line = tx.state().dependents_of(task);
    auto next = line.after({position, last_task_id});
    if (next == line.end() || next->first > through) return true;
    const Task& dependent = *tx.find<Task>(next->second);
    if (completed || dependent.waits->any_outcome || planted(PlantedBug::failure_releases)) {
      if (!tx.has_room(operations)) return false;
      position = next->first;
      tell(tx, dependent, task);
      if (planted(PlantedBug::release_only_first_dependent)) return true;
    } else {
      position = next->first;
    }
  }
  return false;
}

}  // namespace

void make_pending(state::Transaction& tx, TaskId id) {
  tx.update<Task>(id, [&](Task& changed) {
    changed.waits = nullptr;
    state::Run run;
    run.scheduled = tx.now();
    changed.runs.push_back(std::move(run));
  });
  tx.add_change({Change::Kind::task_pending, id, 0, tx.find<Task>(id)->task_queue, {}});
}

void release_dependents(state::Transaction& tx, TaskId id, bool completed) {
  if (tx.state().dependents_of(id).empty()) return;
  std::uint64_t position = 0;
  std::uint64_t through = tx.state().last_sequence();
  if (tell_some(tx, id, completed, position, through)) return;
  Work work;
  work.id = tx.next_sequence();
  work.kind = Work::Kind::release;
  work.task = id;
  work.position = position;
  work.through = through;
  work.completed = completed;
  work.created = tx.now();
  tx.insert(std::move(work));
}

bool continue_release(state::Transaction& tx, Work& work) {
  return tell_some(tx, work.task, work.completed, work.position, work.through);
}

}  // namespace gantry::queue
