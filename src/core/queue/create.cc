#include "core/queue/create.h"

#include <fmt/format.h>

#include "base/planted.h"
#include "core/queue/limits.h"

namespace gantry::queue {
namespace {

Result<void> check_times(const wire::TaskDefinition& definition, Time now) {
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

}  // namespace

Result<const state::Task*> create(state::Transaction& tx, TaskId id, const wire::TaskDefinition& definition) {
  if (const state::Task* existing = tx.find<state::Task>(id)) {
    if (existing->digest == definition.digest || planted(PlantedBug::create_overwrites)) return existing;
    return Error(ErrorCode::conflict, fmt::format("task {} exists already with another definition", id.to_string()),
                 "use a new taskId, or send exactly the definition that created it");
  }
  TRY(check_times(definition, tx.now()));
  state::Task task;
  task.id = id;
  task.sequence = tx.next_sequence();
  task.task_queue = definition.task_queue;
  task.scheduler = definition.scheduler;
  task.project = definition.project;
  task.group = definition.group;
  task.priority = definition.priority;
  task.retries = definition.retries;
  task.retries_left = definition.retries;
  task.created = tx.now();
  task.deadline = definition.deadline;
  task.expires = definition.expires;
  task.memory_bytes = definition.memory_bytes;
  task.cpus = definition.cpus;
  task.digest = definition.digest;
  state::Run run;
  run.scheduled = tx.now();
  task.runs.push_back(std::move(run));
  tx.put_definition(task.sequence, std::make_shared<const std::string>(definition.canonical));
  tx.add_change({state::Change::Kind::task_defined, id, 0, task.task_queue, {}});
  tx.add_change({state::Change::Kind::task_pending, id, 0, task.task_queue, {}});
  tx.insert(std::move(task));
  return tx.find<state::Task>(id);
}

}  // namespace gantry::queue
