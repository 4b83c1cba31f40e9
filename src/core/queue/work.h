// Work that is too large for one transaction: stored, and continued in steps (design 3.5). All it needs is in memory.
#pragma once

#include <functional>

#include "core/state/transaction.h"

namespace gantry::queue {

/// Whether there is any. The server looks after each commit.
inline bool has_work(const state::State& state) { return !state.works().empty(); }

/// One step of the work whose turn it is; true if there is more to do. The works take turns: whoever has had one gets a
/// later id. Call it with a fresh transaction each time until it says false.
bool continue_work(state::Transaction& tx);

// What the kinds of work share.

/// Greater than every task id: where a line of tasks goes on after all that have the same sequence.
inline const TaskId last_task_id =
    TaskId::from_bytes({255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255});

/// Does the first step at once, and stores the work if that does not finish it.
void start_work(state::Transaction& tx, state::Work work, bool (*first_step)(state::Transaction&, state::Work&));

/// Calls `act`, which needs room for so many records, with each unresolved task of group `work.task`, its root first
/// and then those after work.position by age; tasks that came after work.through are left out. True when it has seen
/// all.
bool for_open_tasks(state::Transaction& tx, state::Work& work, std::size_t operations,
                    const std::function<void(const state::Task&)>& act);

/// A step of Work{link}; true if it is finished.
bool continue_link(state::Transaction& tx, state::Work& work);

}  // namespace gantry::queue
