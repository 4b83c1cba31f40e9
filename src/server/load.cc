#include "server/load.h"

#include "base/json.h"
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
  state.load_clock(static_cast<std::uint64_t>(number("commit")), static_cast<std::uint64_t>(number("sequence")),
                   time_from_ms(number("time")));
}

}  // namespace

void load_state(store::Store& store, state::State& state, KnownTasks& known) {
  load_clock(store, state);
  visit_table(store, TableId::task_id, [&](const store::Entry& entry) {
    auto id = TaskId::parse(entry.key.name);
    if (!id) throw Error(ErrorCode::corrupt, "the index of task ids holds a text that is no task id");
    known.add(*id);
  });
  visit_table(store, TableId::open_task, [&](const store::Entry& entry) {
    state.load(value_or_throw(state::decode_task(entry.key.sequence, entry.value)));
  });
  visit_table(store, TableId::allocation, [&](const store::Entry& entry) {
    state.load(value_or_throw(state::decode_allocation(entry.key.sequence, entry.value)));
  });
  visit_table(store, TableId::node,
              [&](const store::Entry& entry) { state.load(value_or_throw(state::decode_node(entry.value))); });
}

}  // namespace gantry::server
