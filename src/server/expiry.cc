#include "server/expiry.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "core/queue/expire.h"
#include "core/state/codec.h"
#include "server/api/finish_log.h"

namespace gantry::server {
namespace {

using state::TableId;

constexpr std::size_t page_rows = 500;
/// More than fit into a transaction: fewer are all of them.
constexpr std::size_t dependents_at_once = state::operations_max + 1;
constexpr int loads_max = 5;
constexpr std::size_t suspects_max = 100'000;
constexpr Duration not_leading_pause = seconds(1);

/// What expire_artifact and expire_task take away, as far as there are bytes behind it.
bool has_file(const state::Artifact& artifact) { return artifact.type == state::StorageType::s3; }

}  // namespace

Time stored_expiry(std::string_view record) {
  static constexpr std::string_view key = "\"expires\":";
  // Quotes inside of strings are escaped, so what is found is a key; another one of that name holds no number.
  for (std::size_t at = record.find(key); at != std::string_view::npos; at = record.find(key, at + 1)) {
    const char* from = record.data() + at + key.size();
    std::int64_t ms = 0;
    auto [end, error] = std::from_chars(from, record.data() + record.size(), ms);
    if (error == std::errc()) return time_from_ms(ms);
  }
  return Time();
}

Async<> Expiry::run() {
  for (;;) {
    co_await services_.env.sleep(settings_.period);
    while (!services_.leading) co_await services_.env.sleep(not_leading_pause);
    co_await sweep();
    ++counts_.sweeps;
  }
}

Async<> Expiry::sweep() {
  co_await guarded("tasks", sweep_table(TableId::resolved_task, &Expiry::expire_task));
  co_await guarded("artifacts", sweep_table(TableId::artifact, &Expiry::expire_artifact));
  co_await guarded("groups", sweep_table(TableId::group, &Expiry::expire_group));
  co_await guarded("workers and task queues", sweep_memory());
  for (Step& step : steps_) co_await guarded(step.what, sweep_more(step));
  co_await guarded("files", sweep_files());
}

Async<> Expiry::guarded(std::string what, Async<> part) {
  std::exception_ptr failure;
  try {
    co_await std::move(part);
  } catch (...) {
    failure = std::current_exception();
  }
  if (is_cancelled(failure)) std::rethrow_exception(failure);
  if (failure) log_warning("expired {} stay until the next sweep: {}", what, error_of(failure).message());
}

Async<> Expiry::sweep_table(TableId table, Handle handle) {
  std::optional<state::Key> after;
  for (;;) {
    auto rows = co_await services_.cold.scan(table, after, page_rows);
    Time now = services_.env.now();
    for (store::Entry& row : rows) {
      after = row.key;
      if (stored_expiry(row.value) <= now) co_await (this->*handle)(std::move(row));
    }
    if (rows.size() < page_rows) co_return;
    co_await services_.env.sleep(settings_.page_pause);
  }
}

Async<> Expiry::sweep_more(Step& step) {
  for (;;) {
    bool done = co_await step.act();
    if (done) co_return;
    co_await services_.env.sleep(settings_.page_pause);
  }
}

Async<> Expiry::sweep_memory() {
  bool more = true;
  while (more) {
    auto tx = services_.commits.begin();
    more = queue::expire_workers(tx) || queue::expire_task_queues(tx);
    co_await services_.commits.settled(services_.commits.stage(tx));
  }
}

Async<> Expiry::load_to_expire(TaskId task, TaskGroupId group) {
  for (int tries = 0; tries < loads_max; ++tries) {
    std::uint64_t loads = services_.cold.loads();
    co_await services_.cold.ensure_group(group);
    co_await services_.cold.ensure_artifacts(task);
    if (services_.cold.loads() == loads) co_return;  // nobody waited in between: nothing was forgotten again
  }
}

Async<> Expiry::expire_task(store::Entry row) {
  state::Task stored = value_or_throw(state::decode_task(row.key.sequence, row.value));
  TaskId id = stored.id;
  std::vector<std::string> files;
  queue::Expiry result = queue::Expiry::more;
  while (result == queue::Expiry::more) {
    auto dependents =
        co_await services_.cold.scan(TableId::dependent, state::Key{stored.sequence, {}}, dependents_at_once);
    std::vector<state::Key> rows;
    for (const auto& entry : dependents) {
      if (entry.key.sequence == stored.sequence) rows.push_back(entry.key);
    }
    co_await load_to_expire(id, stored.group);
    auto tx = services_.commits.begin();
    const state::Task* task = tx.find<state::Task>(id);
    if (!task || task->sequence != stored.sequence) co_return;
    std::vector<std::string> here;
    for (const auto& [run, name] : tx.state().artifacts_of(id)) {
      const state::Artifact& artifact = *tx.find<state::Artifact>({id, run, name});
      if (has_file(artifact)) here.push_back(artifact_object(artifact.id));
    }
    result = queue::expire_task(tx, id, rows);
    co_await services_.commits.settled(services_.commits.stage(tx));
    for (std::string& name : here) {
      if (std::ranges::find(files, name) == files.end()) files.push_back(std::move(name));
    }
  }
  if (result != queue::Expiry::done) co_return;
  services_.cold.known().remove(id, stored.sequence);
  ++counts_.tasks;
  co_await remove_files(std::move(files));
}

Async<> Expiry::expire_artifact(store::Entry row) {
  state::Artifact stored = value_or_throw(state::decode_artifact(row.key.sequence, row.value));
  co_await services_.cold.ensure_artifacts(stored.id.task);
  auto tx = services_.commits.begin();
  const state::Artifact* artifact = tx.find<state::Artifact>(stored.id);
  if (!artifact) co_return;
  std::vector<std::string> files;
  if (has_file(*artifact)) files.push_back(artifact_object(stored.id));
  queue::Expiry result = queue::expire_artifact(tx, stored.id);
  co_await services_.commits.settled(services_.commits.stage(tx));
  if (result != queue::Expiry::done) co_return;
  ++counts_.artifacts;
  co_await remove_files(std::move(files));
}

Async<> Expiry::expire_group(store::Entry row) {
  auto id = TaskGroupId::parse(row.key.name);
  if (!id) co_return;
  co_await services_.cold.ensure<state::Group>(*id);
  auto tx = services_.commits.begin();
  queue::Expiry result = queue::expire_group(tx, *id);
  co_await services_.commits.settled(services_.commits.stage(tx));
  if (result != queue::Expiry::done) co_return;
  ++counts_.groups;
  // A task may have joined it anew while the end of the old one became durable.
  if (!services_.commits.state().table<state::Group>().find(*id)) services_.cold.known_groups().remove(*id);
}

Async<> Expiry::remove_files(std::vector<std::string> names) {
  if (!services_.objects) co_return;
  for (std::string& name : names) {
    bool made_anew = co_await has_record(name);
    if (!made_anew) co_await services_.objects->remove(std::move(name));
  }
}

Async<bool> Expiry::has_record(std::string object) {
  // "t/<task>/<run>/<name>": an artifact; "object/<uploadId>/<name>": the object service's.
  auto first = object.find('/');
  auto second = object.find('/', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos) co_return true;
  std::string kind = object.substr(0, first);
  std::string id = object.substr(first + 1, second - first - 1);
  std::string rest = object.substr(second + 1);
  if (kind == "object") {
    co_await services_.cold.ensure<state::StoredObject>(rest);
    const auto* row = services_.commits.state().table<state::StoredObject>().find(rest);
    co_return row && row->record.upload_id == id;
  }
  auto task = TaskId::parse(id);
  auto third = rest.find('/');
  if (kind != "t" || !task || third == std::string::npos) co_return true;
  int run = -1;
  std::from_chars(rest.data(), rest.data() + third, run);
  co_await services_.cold.ensure_artifacts(*task);
  co_return services_.commits.state().table<state::Artifact>().find({*task, run, rest.substr(third + 1)}) != nullptr;
}

Async<> Expiry::sweep_files() {
  if (!services_.objects) co_return;
  std::set<std::string> suspects;
  for (int part = 0;; ++part) {
    auto names = co_await services_.objects->names(part);
    if (!names) break;
    for (std::string& name : *names) {
      bool known = co_await has_record(name);
      if (known) continue;
      if (!suspects_.contains(name)) {
        if (suspects.size() < suspects_max) suspects.insert(std::move(name));
        continue;
      }
      log_info("removing the file of {}: no record tells of it", name);
      ++counts_.files;
      co_await services_.objects->remove(std::move(name));
    }
    co_await services_.env.sleep(settings_.page_pause);
  }
  suspects_ = std::move(suspects);
}

}  // namespace gantry::server
