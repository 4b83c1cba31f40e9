#include "agent/host/host.h"

#include <fmt/format.h>

#include "base/time.h"

namespace gantry::agent {

std::optional<HostNotice> notice_of_termination(std::string_view time_text) {
  while (!time_text.empty() && (time_text.back() == '\n' || time_text.back() == '\r')) time_text.remove_suffix(1);
  auto time = parse_time(time_text);
  if (!time) return std::nullopt;
  return HostNotice{.finish_tasks = false,
                    .machine = true,
                    .why = fmt::format("the machine is taken away at {}", format_time(*time))};
}

json::object host_settings(std::string_view text, std::string_view where) {
  std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || text[start] != '{') return {};
  auto document = parse_json(text);
  if (!document) throw document.error().in(where);
  return std::move(document.value().get_object());
}

}  // namespace gantry::agent
