#include "server/api/event_query.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "server/output/limits.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

/// The values of a filter: `key` may be repeated, and each may be a list with commas.
std::vector<std::string_view> filter_values(const Call& call, std::string_view key) {
  std::vector<std::string_view> values;
  for (const auto& [name, text] : call.query) {
    if (name != key) continue;
    std::string_view rest = text;
    for (;;) {
      std::size_t comma = std::min(rest.find(','), rest.size());
      values.push_back(rest.substr(0, comma));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  }
  if (values.size() > event_filter_values_max) {
    throw Error(ErrorCode::invalid_input, fmt::format("{}: at most {} values", key, event_filter_values_max),
                "leave some out, or read all events and choose among them");
  }
  return values;
}

Error bad_value(std::string_view key, std::string_view value, std::string_view what, std::string hint = {}) {
  return Error(ErrorCode::invalid_input, fmt::format("{}: \"{}\" is not {}", key, shorten(value, 60), what),
               std::move(hint));
}

std::vector<TaskId> id_values(const Call& call, std::string_view key, std::string_view what) {
  std::vector<TaskId> ids;
  for (std::string_view text : filter_values(call, key)) {
    auto id = TaskId::parse(text);
    if (!id) throw bad_value(key, text, what, "ids are slugids: 22 characters such as fN1SbArXTPSVFNUvaOlinQ");
    ids.push_back(*id);
  }
  return ids;
}

std::optional<std::uint64_t> read_number(std::string_view key, std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) throw bad_value(key, text, "the number of an event");
  return number;
}

}  // namespace

EventFilter event_filter(const Call& call) {
  EventFilter filter;
  filter.tasks = id_values(call, "task", "a task id");
  filter.groups = id_values(call, "group", "a task group id");
  for (std::string_view queue : filter_values(call, "queue")) {
    if (!wire::is_task_queue_id(queue)) throw bad_value("queue", queue, "a task queue", "such as proj-a/linux");
    filter.queues.emplace_back(queue);
  }
  for (std::string_view text : filter_values(call, "kind")) {
    auto kind = wire::parse_event_kind(text);
    if (!kind) throw bad_value("kind", text, "a kind of event", "such as task-completed or task-group-resolved");
    filter.kinds.push_back(*kind);
  }
  return filter;
}

std::optional<std::uint64_t> event_position(const Call& call) {
  auto after = read_number("Last-Event-ID", call.request.headers.get("last-event-id"));
  return after ? after : read_number("after", call.query_value("after"));
}

}  // namespace gantry::server
