#include "core/queue/worker.h"

#include <fmt/format.h>

#include "core/queue/limits.h"

namespace gantry::queue {

using state::TaskQueue;
using state::Worker;
using state::WorkerActivity;

namespace {

Worker::Id id_of(const WorkerName& worker) { return Worker::make_id(worker.task_queue, worker.group, worker.id); }

Worker made(const WorkerName& name, Time now) {
  Worker worker;
  worker.task_queue = name.task_queue;
  worker.group = name.group;
  worker.worker_id = name.id;
  worker.first_claim = now;
  worker.last_active = now;
  worker.expires = now + worker_term;
  return worker;
}

/// Adds what came last, and keeps the newest.
void append(std::vector<Worker::RecentTask>& recent, std::span<const Worker::RecentTask> more) {
  recent.insert(recent.end(), more.begin(), more.end());
  if (recent.size() <= recent_tasks_max) return;
  recent.erase(recent.begin(), recent.end() - static_cast<std::ptrdiff_t>(recent_tasks_max));
}

void remember(WorkerActivity& activity, std::span<const Claim> claims, Time now) {
  activity.last_active = now;
  for (const Claim& claim : claims) {
    bool known = std::ranges::any_of(activity.recent, [&](const Worker::RecentTask& recent) {
      return recent.task == claim.task && recent.run == claim.run;
    });
    Worker::RecentTask recent{claim.task, claim.run};
    if (!known) append(activity.recent, {&recent, 1});
  }
}

/// Changes the record, together with what was not written of it yet.
template <class Change>
void write(state::Transaction& tx, const Worker::Id& id, Change change) {
  const WorkerActivity* activity = tx.state().activity(id);
  Worker joined = current(tx.state(), *tx.find<Worker>(id));
  tx.update<Worker>(id, [&](Worker& worker) {
    worker = std::move(joined);
    change(worker);
  });
  if (activity) tx.forget_activity(id);
}

Error no_worker(const WorkerName& worker) {
  return Error(ErrorCode::not_found,
               fmt::format("worker {}/{} of {} does not exist", worker.group, worker.id, worker.task_queue),
               "a worker is known once it has claimed tasks, until a day after");
}

}  // namespace

void note_activity(state::Transaction& tx, const WorkerName& worker, std::span<const Claim> claims) {
  touch_queue(tx, worker.task_queue);
  Worker::Id id = id_of(worker);
  const Worker* known = tx.find<Worker>(id);
  bool fresh = !known;
  if (fresh) {
    tx.insert(made(worker, tx.now()));
    known = tx.find<Worker>(id);
  }
  remember(tx.activity(id), claims, tx.now());
  bool busy = !claims.empty() && known->last_active + worker_write_interval <= tx.now();
  bool expiring = known->expires < tx.now() + worker_term / 2;
  bool first = fresh && !claims.empty();
  if (!busy && !expiring && !first) return;
  write(tx, id, [&](Worker& changed) { changed.expires = std::max(changed.expires, tx.now() + worker_term); });
}

Worker current(const state::State& state, const Worker& worker) {
  Worker joined = worker;
  const WorkerActivity* activity = state.activity(worker.key());
  if (!activity) return joined;
  std::erase_if(joined.recent, [&](const Worker::RecentTask& known) {
    return std::ranges::any_of(activity->recent, [&](const Worker::RecentTask& newer) {
      return newer.task == known.task && newer.run == known.run;
    });
  });
  append(joined.recent, activity->recent);
  joined.last_active = std::max(joined.last_active, activity->last_active);
  return joined;
}

Result<Worker> find_worker(state::Transaction& tx, const WorkerName& name) {
  const Worker* worker = tx.find<Worker>(id_of(name));
  if (!worker || worker->expires <= tx.now()) return no_worker(name);
  return current(tx.state(), *worker);
}

bool is_quarantined(const state::State& state, const WorkerName& worker, Time now) {
  const auto* row = state.table<Worker>().find(id_of(worker));
  return row && row->record.quarantine_until > now;
}

Result<Worker> quarantine(state::Transaction& tx, const WorkerName& name, Time until, std::string info,
                          std::string client_id) {
  TRY(find_worker(tx, name));
  write(tx, id_of(name), [&](Worker& worker) {
    worker.quarantine_until = until;
    worker.expires = std::max(worker.expires, until);
    auto& changes = worker.quarantine_changes;
    if (changes.size() >= quarantine_changes_max) changes.erase(changes.begin());
    changes.push_back({std::move(client_id), tx.now(), until, std::move(info)});
  });
  return find_worker(tx, name);
}

Result<Worker> declare_worker(state::Transaction& tx, const WorkerName& name, Time expires) {
  if (expires <= tx.now()) {
    return Error(ErrorCode::invalid_input, fmt::format("expires: {} has passed", format_time(expires)));
  }
  touch_queue(tx, name.task_queue);
  Worker::Id id = id_of(name);
  if (!tx.find<Worker>(id)) {
    Worker worker = made(name, tx.now());
    worker.expires = expires;
    tx.insert(std::move(worker));
  } else if (tx.find<Worker>(id)->expires < expires) {
    write(tx, id, [&](Worker& worker) { worker.expires = expires; });
  }
  return find_worker(tx, name);
}

void touch_queue(state::Transaction& tx, const std::string& task_queue) {
  const TaskQueue* known = tx.find<TaskQueue>(task_queue);
  if (!known) {
    TaskQueue queue;
    queue.id = task_queue;
    queue.last_active = tx.now();
    queue.expires = tx.now() + task_queue_term;
    tx.insert(std::move(queue));
  } else if (known->last_active + task_queue_write_interval <= tx.now()) {
    tx.update<TaskQueue>(task_queue, [&](TaskQueue& queue) {
      queue.last_active = tx.now();
      queue.expires = std::max(queue.expires, tx.now() + task_queue_term);
    });
  }
}

}  // namespace gantry::queue
