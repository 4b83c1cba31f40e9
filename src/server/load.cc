#include "server/load.h"

#include "base/json.h"
#include "base/planted.h"
#include "core/state/codec.h"

namespace gantry::server {
namespace {

using state::TableId;

constexpr std::size_t scan_step = 5'000;

template <class Visit>
void visit_table(store::Store& store, TableId table, Visit visit) {
  std::optional<state::Key> after;
  for (;;) {
    auto entries = store.scan(table, after ? &*after : nullptr, scan_step);
    for (const auto& entry : entries) visit(entry);
    if (entries.size() < scan_step) return;
    after = entries.back().key;
  }
}

void load_clock(store::Store& store, state::State& state) {
  state::Value clock = store.read(TableId::meta, {0, "clock"});
  if (!clock) return;
  json::value document = value_or_throw(parse_json(*clock));
  auto number = [&](const char* key) { return document.at(key).to_number<std::int64_t>(); };
  std::uint64_t last_event = document.as_object().contains("event") ? static_cast<std::uint64_t>(number("event")) : 0;
  state.load_clock(static_cast<std::uint64_t>(number("commit")), static_cast<std::uint64_t>(number("sequence")),
                   last_event, time_from_ms(number("time")));
}

/// What an unscheduled task waits for is in its definition.
std::shared_ptr<const std::vector<TaskId>> read_dependencies(store::Store& store, const state::Task& task) {
  state::Value definition = store.read(TableId::definition, {task.sequence, {}});
  if (!definition) {
    throw Error(ErrorCode::corrupt, "the definition of task " + task.id.to_string() + " is missing from the store",
                "restore it from a backup");
  }
  auto ids = std::make_shared<std::vector<TaskId>>();
  json::value document = value_or_throw(parse_json(*definition));
  for (const auto& dependency : document.at("dependencies").as_array()) {
    ids->push_back(TaskId::parse(dependency.as_string()).value_or(TaskId()));
  }
  return ids;
}

void load_open_task(store::Store& store, state::State& state, const store::Entry& entry) {
  state::Task task = value_or_throw(state::decode_task(entry.key.sequence, entry.value));
  if (planted(PlantedBug::priority_reset_on_restart)) task.priority = state::Priority::lowest;
  if (task.waits) {
    auto waits = std::make_shared<state::Waits>(*task.waits);
    waits->on = read_dependencies(store, task);
    bool fits = waits->met.size() == (waits->on->size() + 63) / 64;
    if (!fits)
      throw Error(ErrorCode::corrupt, "task " + task.id.to_string() + " waits for something else than it depends on");
    task.waits = std::move(waits);
  }
  state.load(std::move(task));
}

template <class Record>
void load_table(store::Store& store, state::State& state) {
  visit_table(store, Record::table_id, [&](const store::Entry& entry) {
    state.load(value_or_throw(state::decode<Record>(entry.key, entry.value)));
  });
}

}  // namespace

void load_state(store::Store& store, state::State& state, KnownTasks& known, KnownGroups& known_groups) {
  load_clock(store, state);
  visit_table(store, TableId::task_id, [&](const store::Entry& entry) {
    auto id = TaskId::parse(entry.value);
    if (!id) throw Error(ErrorCode::corrupt, "the list of task ids holds a text that is no task id");
    known.add(*id, entry.key.sequence);
  });
  visit_table(store, TableId::group, [&](const store::Entry& entry) {
    auto id = TaskGroupId::parse(entry.key.name);
    if (!id) throw Error(ErrorCode::corrupt, "the groups have one whose name is no slugid");
    known_groups.add(*id);
  });
  visit_table(store, TableId::open_task, [&](const store::Entry& entry) { load_open_task(store, state, entry); });
  visit_table(store, TableId::allocation, [&](const store::Entry& entry) {
    state.load(value_or_throw(state::decode_allocation(entry.key.sequence, entry.value)));
  });
  visit_table(store, TableId::node,
              [&](const store::Entry& entry) { state.load(value_or_throw(state::decode_node(entry.value))); });
  state::AllRecords::for_each([&]<class Record>() {
    if (std::is_same_v<Record, state::Work> && planted(PlantedBug::work_lost_on_restart)) return;
    if constexpr (state::PlainRecord<Record> && !state::ColdRecord<Record>) load_table<Record>(store, state);
  });
}

}  // namespace gantry::server
