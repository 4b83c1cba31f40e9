// What the clients of a simulation know of task groups, and the rules for them: a sealed group takes no new tasks and
// stays sealed, a cancelled one has no open tasks soon, every member is listed, what was changed for all of a group is
// changed for each of its tasks, and larger work is carried on.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/state/state.h"
#include "sim/oracle.h"
#include "store/store.h"

namespace gantry::sim {

struct GroupFacts {
  TaskGroupId id;
  std::vector<TaskId> members;  // that clients have meant to create in it
  bool seal_asked = false;
  std::optional<Time> sealed;  // as was acknowledged
  std::int64_t sealed_us = 0;  // since when
  std::int64_t cancel_asked_us = -1;
  std::int64_t cancelled_us = -1;  // acknowledged since
  Wishes<bool> pulls;
  std::optional<std::size_t> pulls_told;  // the wish that was acknowledged, until it is done for each task
};

class GroupBook {
 public:
  GroupBook(Oracle& oracle, Oracle::Fail fail) : oracle_(oracle), fail_(std::move(fail)) {}

  // What clients are about to ask for.

  /// A task that is to be created in its group.
  void plan_member(TaskFacts& task, std::int64_t now_us);
  void seal_asked(TaskGroupId id);
  void cancel_asked(TaskGroupId id, std::int64_t now_us);
  /// Returns the number of the wish.
  std::size_t priority_asked(TaskGroupId id, wire::Priority priority, std::int64_t now_us);
  std::size_t pulls_asked(TaskGroupId id, bool pulls, std::int64_t now_us);

  // What they have learned.

  /// Any answer that shows a group.
  void saw_group(TaskGroupId id, const json::object& answer, std::int64_t sent_us, std::int64_t now_us);
  void cancelled(TaskGroupId id, const json::object& answer, std::int64_t now_us);
  void pulls_set(TaskGroupId id, std::size_t wish);
  void prioritized(TaskGroupId id, std::size_t wish, const json::object& answer);
  void saw_list(TaskGroupId id, const std::set<TaskId>& listed, std::int64_t sent_us);

  GroupFacts* find(TaskGroupId id);

  // What the server's state and the disk show.

  /// A task that somebody sees for the first time.
  void saw_new_task(const state::Task& task);
  /// `settled`: all of the state is durable.
  void look(const state::State& state, bool settled, std::int64_t now_us, std::int64_t trouble_us);
  /// The first contradiction, or nothing.
  std::optional<std::string> check_disk(store::Store& store) const;

 private:
  /// A new priority for all of a group.
  struct GroupWish {
    TaskGroupId group;
    wire::Priority priority;
    std::int64_t sent_us;
    std::map<TaskId, std::size_t> of_tasks;   // the wish in TaskFacts::priority
    std::optional<std::vector<TaskId>> told;  // whom it was acknowledged for, until that is done
  };

  void wish_for(GroupWish& wish, TaskFacts& task);
  void check_cancelled(const state::State& state, std::int64_t now_us, std::int64_t trouble_us);
  void check_pulls(const state::State& state, std::int64_t now_us) const;
  void works_done(const state::State& state, std::int64_t now_us);
  void fail(TaskGroupId id, std::string_view what) const;

  Oracle& oracle_;
  Oracle::Fail fail_;
  std::map<TaskGroupId, GroupFacts> groups_;
  std::vector<GroupWish> wishes_;
  std::set<TaskGroupId> to_be_cancelled_;  // acknowledged, and some of it may still be open
  bool told_ = false;                      // something was acknowledged that may not be done yet
  std::int64_t working_since_us_ = -1;
  std::int64_t next_check_us_ = 0;
};

}  // namespace gantry::sim
