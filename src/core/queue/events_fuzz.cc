// Rows of the outbox: from arbitrary bytes no crash, the errors that are promised, and messages that every output can
// send; a row made from arbitrary labels has as many messages as it says, and says what the task says.
#include <cstddef>
#include <cstdint>

#include "core/queue/events.h"
#include "core/state/state.h"

namespace gantry::queue {
namespace {

using state::Change;

constexpr std::uint64_t first_number = 7;
const Time now = time_from_ms(1'795'132'800'000);
const TaskId task_id = *TaskId::parse("fN1SbArXTPSVFNUvaOlinQ");

void check_messages(const std::vector<wire::PulseMessage>& messages, std::uint64_t first) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const wire::PulseMessage& message = messages[i];
    GANTRY_ASSERT(message.number == first + i && message.at >= time_min && message.at <= time_max);
    GANTRY_ASSERT(message.routing_key.size() <= wire::routing_key_bytes_max);
    auto body = parse_json(message.body);
    GANTRY_ASSERT(body && body.value().is_object());
  }
}

void try_row(std::string_view row) {
  auto messages = messages_of(first_number, row);
  if (messages) return check_messages(messages.value(), first_number);
  ErrorCode code = messages.error().code();
  GANTRY_ASSERT(code == ErrorCode::corrupt || code == ErrorCode::unsupported);
}

state::Task task_of(std::string_view text) {
  state::Task task;
  task.id = task_id;
  task.sequence = 1;
  task.group = task_id;
  task.task_queue = "prov/queue";
  task.scheduler = "sched";
  task.project = "none";
  task.deadline = task.expires = now + days(1);
  task.runs.emplace_back().scheduled = now;
  auto labels = std::make_shared<state::TaskLabels>();
  labels->routes = {std::string(text), "two." + std::string(text)};
  json::object tags;
  tags[text] = text;
  append_canonical_json(labels->tags, tags);
  task.labels = labels;
  return task;
}

/// What of a text comes back from JSON: everything, if it is UTF-8.
bool is_json_text(std::string_view text) {
  std::string quoted;
  append_json_string(quoted, text);
  auto read = parse_json(quoted);
  return read && read.value().is_string() && std::string_view(read.value().get_string()) == text;
}

/// Each byte of `kinds` is one event; `text` becomes the labels.
void try_round_trip(std::string_view kinds, std::string_view text) {
  if (!is_json_text(text)) return;  // a definition with such a text is refused
  state::State state;
  state.load(task_of(text));
  state::Transaction tx(state, now);
  for (char kind : kinds) {
    tx.add_change({.kind = static_cast<Change::Kind>(static_cast<unsigned char>(kind) % 10), .task = task_id});
  }
  std::vector<EventRow> rows;
  add_event_rows(tx, rows);
  for (const EventRow& row : rows) {
    auto messages = messages_of(row.first, *row.value);
    GANTRY_ASSERT(messages && messages.value().size() == row.count && row.count <= events_per_row_max);
    check_messages(messages.value(), row.first);
    for (const wire::PulseMessage& message : messages.value()) {
      GANTRY_ASSERT(message.group == task_id && message.at == now);
      if (!wire::is_about_task(message.kind)) continue;
      GANTRY_ASSERT(message.task == task_id && message.task_queue == "prov/queue");
      GANTRY_ASSERT(message.routes.size() == 2 && message.routes[0] == "route." + std::string(text));
    }
  }
  tx.take();
}

}  // namespace
}  // namespace gantry::queue

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::size_t kinds = data[0] % 64;
  if (kinds == 0) {
    gantry::queue::try_row(text);
  } else {
    gantry::queue::try_round_trip(text.substr(0, kinds), text.substr(std::min(kinds, text.size())));
  }
  return 0;
}
