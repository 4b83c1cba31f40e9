#include "sim/disk_check.h"

#include <fmt/format.h>

#include "core/state/codec.h"

namespace gantry::sim {
namespace {

using state::TableId;
using state::Task;

constexpr std::size_t scan_step = 1'000;

template <class Visit>
void visit(store::Store& store, TableId table, Visit each) {
  std::optional<state::Key> after;
  for (;;) {
    auto entries = store.scan(table, after ? &*after : nullptr, scan_step);
    for (const auto& entry : entries) each(entry);
    if (entries.size() < scan_step) return;
    after = entries.back().key;
  }
}

/// The keys of what should be there, taken off one by one.
struct Tasks {
  std::map<std::uint64_t, Task> by_sequence;
  std::optional<std::string> wrong;
};

Tasks read_tasks(store::Store& store) {
  Tasks tasks;
  for (TableId table : {TableId::open_task, TableId::resolved_task}) {
    visit(store, table, [&](const store::Entry& entry) {
      auto task = state::decode_task(entry.key.sequence, entry.value);
      if (!task) {
        tasks.wrong = task.error().message();
        return;
      }
      bool in_place = task.value().resolved() == (table == TableId::resolved_task);
      std::string name = task.value().id.to_string();
      if (!in_place) tasks.wrong = fmt::format("task {} is in the wrong table", name);
      bool fresh = tasks.by_sequence.emplace(entry.key.sequence, std::move(task).value()).second;
      if (!fresh) tasks.wrong = fmt::format("task {} is open and resolved", name);
    });
  }
  return tasks;
}

std::optional<std::string> check_index(store::Store& store, const Tasks& tasks) {
  std::optional<std::string> wrong;
  std::size_t count = 0;
  visit(store, TableId::task_id, [&](const store::Entry& entry) {
    ++count;
    auto found = tasks.by_sequence.find(entry.key.sequence);
    bool right = found != tasks.by_sequence.end() && found->second.id.to_string() == entry.value;
    if (!right) wrong = fmt::format("the id {} leads to no task", entry.value);
  });
  if (!wrong && count != tasks.by_sequence.size()) wrong = "there is a task without its id in the index";
  return wrong;
}

std::optional<std::string> check_definitions(store::Store& store, const Tasks& tasks) {
  std::optional<std::string> wrong;
  std::size_t count = 0;
  visit(store, TableId::definition, [&](const store::Entry& entry) {
    ++count;
    if (!tasks.by_sequence.contains(entry.key.sequence)) wrong = "there is a definition without its task";
  });
  if (!wrong && count != tasks.by_sequence.size()) wrong = "there is a task without its definition";
  return wrong;
}

std::optional<std::string> check_allocations(store::Store& store, const Tasks& tasks) {
  std::set<state::AllocationId> running;
  for (const auto& [sequence, task] : tasks.by_sequence) {
    if (task.state() == wire::TaskState::running) running.insert({task.id, static_cast<int>(task.runs.size()) - 1});
  }
  std::optional<std::string> wrong;
  visit(store, TableId::allocation, [&](const store::Entry& entry) {
    auto allocation = state::decode_allocation(entry.key.sequence, entry.value);
    bool right = allocation && running.erase(allocation.value().id) == 1;
    if (!right) wrong = "there is an allocation for a run that does not run";
  });
  if (!wrong && !running.empty()) wrong = "there is a running run without its allocation";
  return wrong;
}

template <class Record>
std::optional<std::string> compare_record(store::Store& store, TableId table, const state::Key& key,
                                          const Record& record, std::string_view name) {
  state::Value stored = store.read(table, key);
  if (!stored) return fmt::format("{} is in memory but not on the disk", name);
  if (*stored == state::encode(record)) return std::nullopt;
  return fmt::format("{} is another on the disk: {} instead of {}", name, *stored, state::encode(record));
}

std::size_t count_rows(store::Store& store, TableId table) {
  std::size_t count = 0;
  visit(store, table, [&](const store::Entry&) { ++count; });
  return count;
}

/// Those in memory are as they are stored; of kinds that are wholly in memory, no others are stored.
template <state::PlainRecord Record>
std::optional<std::string> compare_table(const state::State& state, store::Store& store) {
  std::string_view table = state::tables[static_cast<std::size_t>(Record::table_id)].name;
  std::optional<std::string> wrong;
  state.table<Record>().for_each([&](const Record& record) {
    state::Key key = Record::store_key(record.key());
    std::string name = fmt::format("{} {}{}", table, key.sequence == 0 ? "" : std::to_string(key.sequence), key.name);
    auto problem = compare_record(store, Record::table_id, key, record, name);
    if (problem) wrong = std::move(problem);
  });
  if (wrong || Record::cold) return wrong;
  if (count_rows(store, Record::table_id) == state.table<Record>().size()) return std::nullopt;
  return fmt::format("table {} has other rows on the disk than in memory", table);
}

/// Whose rows name tasks: members of groups, and those that wait for another.
std::optional<std::string> check_references(store::Store& store, const Tasks& tasks) {
  std::set<std::string> ids;
  for (const auto& [sequence, task] : tasks.by_sequence) ids.insert(task.id.to_string());
  std::optional<std::string> wrong;
  visit(store, TableId::group_member, [&](const store::Entry& entry) {
    if (!ids.contains(entry.value)) wrong = fmt::format("a group has the member {}, which is no task", entry.value);
  });
  visit(store, TableId::dependent, [&](const store::Entry& entry) {
    if (!ids.contains(entry.key.name)) wrong = fmt::format("{} waits for a task and is none", entry.key.name);
  });
  return wrong;
}

}  // namespace

std::optional<std::string> check_disk(store::Store& store) {
  Tasks tasks = read_tasks(store);
  if (tasks.wrong) return tasks.wrong;
  if (auto wrong = check_index(store, tasks)) return wrong;
  if (auto wrong = check_definitions(store, tasks)) return wrong;
  if (auto wrong = check_allocations(store, tasks)) return wrong;
  if (auto wrong = check_references(store, tasks)) return wrong;
  std::optional<std::string> wrong;
  visit(store, TableId::artifact, [&](const store::Entry& entry) {
    if (!tasks.by_sequence.contains(entry.key.sequence)) wrong = "there is an artifact without its task";
  });
  return wrong;
}

std::optional<std::string> compare_with_disk(const state::State& state, store::Store& store) {
  std::optional<std::string> wrong;
  std::size_t open = 0;
  auto note = [&](std::optional<std::string> problem) {
    if (problem) wrong = std::move(problem);
  };
  state.table<Task>().for_each([&](const Task& task) {
    open += task.resolved() ? 0 : 1;
    TableId table = task.resolved() ? TableId::resolved_task : TableId::open_task;
    note(compare_record(store, table, {task.sequence, {}}, task, "task " + task.id.to_string()));
  });
  std::size_t allocations = 0;
  state.table<state::Allocation>().for_each([&](const state::Allocation& allocation) {
    ++allocations;
    note(compare_record(store, TableId::allocation,
                        {allocation.task_sequence, state::artifact_key_name(allocation.id.run, "")}, allocation,
                        "the allocation of task " + allocation.id.task.to_string()));
  });
  state.table<state::Artifact>().for_each([&](const state::Artifact& artifact) {
    note(compare_record(store, TableId::artifact,
                        {artifact.task_sequence, state::artifact_key_name(artifact.id.run, artifact.id.name)}, artifact,
                        "artifact " + artifact.id.name));
  });
  state.table<state::Node>().for_each([&](const state::Node& node) {
    note(compare_record(store, TableId::node, {0, node.id.to_string()}, node, "node " + node.name));
  });
  state::AllRecords::for_each([&]<class Record>() {
    if constexpr (state::PlainRecord<Record>) note(compare_table<Record>(state, store));
  });
  if (wrong) return wrong;
  if (count_rows(store, TableId::open_task) != open) return "there are other open tasks on the disk than in memory";
  if (count_rows(store, TableId::allocation) != allocations) {
    return "there are other allocations on the disk than in memory";
  }
  if (count_rows(store, TableId::node) != state.table<state::Node>().size()) {
    return "there are other nodes on the disk than in memory";
  }
  visit(store, TableId::outbox, [&](const store::Entry& entry) {
    if (entry.key.sequence > state.last_event()) wrong = "the outbox has an event that has not happened";
  });
  return wrong;
}

std::optional<Task> read_resolved(store::Store& store, TaskId id) {
  std::string name = id.to_string();
  std::uint64_t sequence = 0;
  visit(store, TableId::task_id, [&](const store::Entry& entry) {
    if (entry.value == name) sequence = entry.key.sequence;
  });
  state::Value record = store.read(TableId::resolved_task, {sequence, {}});
  if (!record) return std::nullopt;
  auto task = state::decode_task(sequence, *record);
  return task ? std::optional(std::move(task).value()) : std::nullopt;
}

std::optional<std::string> check_facts(Oracle& oracle, store::Store& store, std::int64_t now_us) {
  Tasks tasks = read_tasks(store);
  if (tasks.wrong) return tasks.wrong;
  std::map<TaskId, const Task*> by_id;
  for (const auto& [sequence, task] : tasks.by_sequence) {
    by_id[task.id] = &task;
    oracle.saw_task(seen_of(task), now_us, now_us, "the disk");
  }
  for (const auto& [id, facts] : oracle.tasks()) {
    auto task = by_id.find(id);
    if (task == by_id.end()) {
      oracle.saw_no_task(id, now_us, "the disk");
      continue;
    }
    std::uint64_t sequence = task->second->sequence;
    state::Value definition = store.read(TableId::definition, {sequence, {}});
    if (!definition || *definition != facts.definition.canonical) {
      return fmt::format("the disk: task {} has another definition than it was created with", id.to_string());
    }
    for (const auto& [key, artifact] : facts.artifacts) {
      state::Value stored = store.read(TableId::artifact, {sequence, state::artifact_key_name(key.first, key.second)});
      if (!stored) return fmt::format("the disk: an acknowledged artifact of task {} is lost", id.to_string());
      auto decoded = state::decode_artifact(sequence, *stored);
      bool same = decoded && decoded.value().type == artifact.type &&
                  decoded.value().target + decoded.value().reason == artifact.target;
      if (!same) return fmt::format("the disk: an acknowledged artifact of task {} has changed", id.to_string());
    }
  }
  return std::nullopt;
}

}  // namespace gantry::sim
