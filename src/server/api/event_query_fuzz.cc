// Filters and positions of /v1/events from arbitrary text: what is taken keeps its bounds and means what it says, all
// else is refused as invalid input.
#include <cstddef>
#include <cstdint>

#include "server/api/event_query.h"
#include "server/output/limits.h"
#include "wire/task_definition.h"

namespace gantry::server {
namespace {

template <class Read>
auto read(Read what, const Call& call) -> std::optional<decltype(what(call))> {
  try {
    return what(call);
  } catch (const Error& error) {
    GANTRY_ASSERT(error.code() == ErrorCode::invalid_input && !error.message().empty());
    return std::nullopt;
  }
}

template <class Values>
std::string joined(const Values& values) {
  std::string text;
  for (const auto& value : values) {
    if (!text.empty()) text += ',';
    if constexpr (requires { value.to_string(); }) {
      text += value.to_string();
    } else {
      text += value;
    }
  }
  return text;
}

void check_filter(const std::string& text) {
  for (const char* key : {"task", "group", "queue", "kind"}) {
    Call call;
    call.query.emplace_back(key, text);
    auto filter = read(event_filter, call);
    if (!filter) continue;
    std::size_t values = filter->tasks.size() + filter->groups.size() + filter->queues.size() + filter->kinds.size();
    GANTRY_ASSERT(values >= 1 && values <= event_filter_values_max);
    for (const auto& queue : filter->queues) GANTRY_ASSERT(wire::is_task_queue_id(queue));
    if (key == std::string_view("task")) GANTRY_ASSERT(joined(filter->tasks) == text);
    if (key == std::string_view("queue")) GANTRY_ASSERT(joined(filter->queues) == text);
  }
}

void check_position(const std::string& text) {
  Call call;
  call.query.emplace_back("after", text);
  auto of_query = read(event_position, call);
  bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  GANTRY_ASSERT(!of_query || digits);
  if (of_query && !text.empty()) GANTRY_ASSERT(*of_query && std::stoull(text) == **of_query);
  Call again;
  again.request.headers.add("last-event-id", text);
  GANTRY_ASSERT(text.empty() || read(event_position, again) == of_query);
}

}  // namespace
}  // namespace gantry::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  gantry::server::check_filter(text);
  gantry::server::check_position(text);
  return 0;
}
