#include "core/queue/create.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/group.h"
#include "core/queue/limits.h"
#include "core/queue/priority.h"
#include "core/queue/work.h"
#include "core/queue/worker.h"

namespace gantry::queue {
namespace {

using state::Change;
using state::Task;
using state::TaskState;
using state::Waits;
using state::Work;
using wire::TaskDefinition;

Result<void> check_times(const TaskDefinition& definition, Time now) {
  Duration skew = definition.created > now ? definition.created - now : now - definition.created;
  if (skew > created_skew_max) {
    return Error(ErrorCode::invalid_input,
                 fmt::format("created: {} is more than 15 minutes from the server's time {}",
                             format_time(definition.created), format_time(now)),
                 "check the clock of this machine");
  }
  if (definition.deadline <= now) {
    return Error(ErrorCode::invalid_input, fmt::format("deadline: {} has passed; the server's time is {}",
                                                       format_time(definition.deadline), format_time(now)));
  }
  return success();
}

/// Dependencies by id: those in memory, else as the caller has read them.
class Dependencies {
 public:
  Dependencies(state::Transaction& tx, std::span<const DependencyFacts> facts) : tx_(tx) {
    for (const DependencyFacts& fact : facts) facts_.emplace(fact.id, &fact);
  }
  std::optional<DependencyFacts> find(TaskId id) const {
    if (const Task* task = tx_.find<Task>(id)) {
      return DependencyFacts{id, task->sequence, task->state(), task->expires};
    }
    auto found = facts_.find(id);
    if (found == facts_.end()) return std::nullopt;
    return *found->second;
  }

 private:
  state::Transaction& tx_;
  boost::unordered_flat_map<TaskId, const DependencyFacts*> facts_;
};

/// What a new task waits for, and the sequences of all it depends on.
struct Wiring {
  std::shared_ptr<const Waits> waits;  // null: nothing is open
  std::vector<std::uint64_t> links;
};

Error bad_dependency(std::size_t index, TaskId id, std::string_view what) {
  return Error(ErrorCode::invalid_input, fmt::format("dependencies.{}: task {} {}", index, id.to_string(), what));
}

Result<Wiring> wire_up(const Dependencies& known, const Task& task, const TaskDefinition& definition, Start start) {
  Wiring wiring;
  auto waits = std::make_shared<Waits>();
  const auto& on = definition.dependencies;
  waits->met.resize((on.size() + 63) / 64);
  waits->any_outcome = definition.any_outcome;
  waits->until_scheduled = start == Start::when_scheduled;
  wiring.links.reserve(on.size());
  for (std::size_t i = 0; i < on.size(); ++i) {
    bool met = false;
    if (on[i] == task.id) {
      wiring.links.push_back(task.sequence);
    } else {
      auto dependency = known.find(on[i]);
      if (!dependency) return bad_dependency(i, on[i], "does not exist");
      if (dependency->expires < definition.deadline) {
        return bad_dependency(i, on[i], "expires before the deadline of this task");
      }
      met =
          dependency->state == TaskState::completed || (definition.any_outcome && wire::is_resolved(dependency->state));
      wiring.links.push_back(dependency->sequence);
    }
    if (met) {
      waits->met[i / 64] |= std::uint64_t{1} << (i % 64);
    } else {
      ++waits->left;
    }
  }
  if (waits->left == 0 && !waits->until_scheduled) return wiring;
  waits->on = std::make_shared<const std::vector<TaskId>>(on);
  wiring.waits = std::move(waits);
  return wiring;
}

Task made_of(TaskId id, const TaskDefinition& definition) {
  Task task;
  task.id = id;
  task.task_queue = definition.task_queue;
  task.scheduler = definition.scheduler;
  task.project = definition.project;
  task.group = definition.group;
  task.priority = definition.priority;
  task.retries = definition.retries;
  task.retries_left = definition.retries;
  task.deadline = definition.deadline;
  task.expires = definition.expires;
  task.memory_bytes = definition.memory_bytes;
  task.cpus = definition.cpus;
  task.digest = definition.digest;
  if (!definition.routes.empty() || !definition.tags.empty()) {
    task.labels = std::make_shared<const state::TaskLabels>(state::TaskLabels{definition.routes, definition.tags});
  }
  return task;
}

/// Records who depends on whom: as many rows as there is room for, the rest as work. Leaves room for work to pull.
void link(state::Transaction& tx, TaskId id, std::vector<std::uint64_t> links) {
  std::size_t works_max = (links.size() + links_per_work - 1) / links_per_work;
  std::string name = id.to_string();
  while (!links.empty() && tx.has_room(1 + works_max + work_operations)) {
    tx.put_row(state::TableId::dependent, {links.back(), name}, std::make_shared<const std::string>("{}"));
    links.pop_back();
  }
  for (std::size_t begin = 0; begin < links.size(); begin += links_per_work) {
    std::size_t end = std::min(links.size(), begin + links_per_work);
    Work work;
    work.id = tx.next_sequence();
    work.kind = Work::Kind::link;
    work.task = id;
    work.created = tx.now();
    work.links.assign(links.begin() + static_cast<std::ptrdiff_t>(begin),
                      links.begin() + static_cast<std::ptrdiff_t>(end));
    tx.insert(std::move(work));
  }
}

}  // namespace

Result<const Task*> create(state::Transaction& tx, TaskId id, const TaskDefinition& definition, Start start,
                           std::span<const DependencyFacts> facts) {
  if (const Task* existing = tx.find<Task>(id)) {
    if (existing->digest == definition.digest || planted(PlantedBug::create_overwrites)) return existing;
    return Error(ErrorCode::conflict, fmt::format("task {} exists already with another definition", id.to_string()),
                 "use a new taskId, or send exactly the definition that created it");
  }
  TRY(check_times(definition, tx.now()));
  Task task = made_of(id, definition);
  task.created = tx.now();
  task.sequence = tx.next_sequence();
  Wiring wiring;
  if (!definition.dependencies.empty() || start == Start::when_scheduled) {
    TRY(wiring, wire_up(Dependencies(tx, facts), task, definition, start));
    task.waits = wiring.waits;
  }
  TRY(join_group(tx, task));
  const state::Group* group = tx.find<state::Group>(task.group);
  task.pulls = group && group->pulls;
  tx.put_definition(task.sequence, std::make_shared<const std::string>(definition.canonical));
  tx.add_change({Change::Kind::task_defined, id, 0, task.task_queue, {}});
  if (!task.waits) {
    state::Run run;
    run.scheduled = tx.now();
    task.runs.push_back(std::move(run));
    tx.add_change({Change::Kind::task_pending, id, 0, task.task_queue, {}});
  }
  touch_queue(tx, task.task_queue);
  tx.insert(std::move(task));
  if (!wiring.links.empty()) link(tx, id, std::move(wiring.links));
  if (wiring.waits) pull_dependencies(tx, id);
  return tx.find<Task>(id);
}

}  // namespace gantry::queue
