#include "core/index/intent.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/json.h"

namespace gantry::index {
namespace {

using state::Change;
using state::Task;

bool is_index_route(std::string_view route) { return route.starts_with(route_prefix); }

/// The member, if it is there.
const json::value* member(const json::value* object, std::string_view key) {
  const json::object* members = object ? object->if_object() : nullptr;
  return members ? members->if_contains(key) : nullptr;
}

/// Reads what extra.index says into `entry`; false with a reason if it cannot be.
bool read_options(const json::value* options, Entry& entry, std::string& why) {
  if (const json::value* rank = member(options, "rank")) {
    boost::system::error_code error;
    entry.rank = rank->is_number() ? rank->to_number<double>(error) : 0;
    if (!rank->is_number() || error) why = "extra.index.rank is not a number";
  }
  if (const json::value* expires = member(options, "expires")) {
    auto time = expires->is_string() ? parse_time(expires->get_string()) : std::nullopt;
    if (!time) why = "extra.index.expires is not a time";
    entry.expires = time.value_or(Time());
  }
  if (const json::value* data = member(options, "data")) {
    entry.data.clear();
    append_canonical_json(entry.data, *data);
    if (!data->is_object()) why = "extra.index.data is not an object";
    if (entry.data.size() > data_bytes_max)
      why = fmt::format("extra.index.data has more than {} bytes", data_bytes_max);
  }
  return why.empty();
}

}  // namespace

bool asks_for_index(const state::State& state, const Change& change) {
  if (change.kind != Change::Kind::task_resolved) return false;
  const auto* row = state.table<Task>().find(change.task);
  if (!row || !row->record.labels) return false;
  const Task& task = row->record;
  auto run = static_cast<std::size_t>(change.run);
  bool completed = run < task.runs.size() && task.runs[run].state == state::TaskState::completed;
  return completed && std::ranges::any_of(task.labels->routes, is_index_route);
}

void note_completed(state::Transaction& tx) {
  for (const Change& change : tx.changes()) {
    if (!asks_for_index(tx.state(), change)) continue;
    auto value = std::make_shared<std::string>();
    JsonWriter(*value).begin_object().field("v", 1).field("task", change.task.to_string()).end_object();
    std::uint64_t sequence = tx.state().table<Task>().find(change.task)->record.sequence;
    tx.put_row(state::TableId::index_intent, {sequence, {}}, std::move(value));
  }
}

Result<TaskId> decode_intent(std::string_view value) {
  auto document = parse_json(value);
  const json::value* task = document ? member(&document.value(), "task") : nullptr;
  auto id = task && task->is_string() ? TaskId::parse(task->get_string()) : std::nullopt;
  if (!id) return Error(ErrorCode::corrupt, "a stored wish to be indexed is damaged");
  return *id;
}

void erase_intent(state::Transaction& tx, std::uint64_t sequence) {
  tx.put_row(state::TableId::index_intent, {sequence, {}}, nullptr);
}

std::vector<Entry> entries_of(TaskId id, std::string_view definition, std::string& why_none) {
  std::vector<Entry> entries;
  auto document = parse_json(definition);
  if (!document) {
    why_none = document.error().message();
    return entries;
  }
  Entry entry;
  entry.task = id;
  const json::value* expires = member(&document.value(), "expires");
  if (expires && expires->is_string()) entry.expires = parse_time(expires->get_string()).value_or(Time());
  if (!read_options(member(member(&document.value(), "extra"), "index"), entry, why_none)) return entries;
  const json::value* routes = member(&document.value(), "routes");
  for (const auto& route : routes && routes->is_array() ? routes->get_array() : json::array()) {
    std::string_view text = route.is_string() ? std::string_view(route.get_string()) : std::string_view();
    if (!is_index_route(text) || !is_path(text.substr(route_prefix.size()))) continue;
    entry.path = text.substr(route_prefix.size());
    entries.push_back(entry);
  }
  if (entries.empty()) why_none = "no route names a valid index path";
  return entries;
}

}  // namespace gantry::index
