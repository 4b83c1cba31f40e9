#include "cli/commands/access_output.h"

#include <cerrno>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/output.h"

namespace gantry::cli {

void append_texts(JsonWriter& out, std::string_view key, const std::vector<std::string>& texts) {
  out.key(key).begin_array();
  for (const std::string& text : texts) out.string(text);
  out.end_array();
}

std::string scopes_summary(const json::value& record) {
  const json::array& scopes = array_at(record, "scopes");
  if (scopes.size() != 1 || !scopes[0].is_string()) return fmt::format("{} scopes", scopes.size());
  return std::string(scopes[0].get_string());
}

std::string record_text(const json::value& record) {
  std::string text;
  const json::object* members = record.if_object();
  for (std::size_t i = 0; members && i < members->size(); ++i) {
    const auto& member = *(members->begin() + i);
    std::string_view name = member.key();
    const json::value& value = member.value();
    if (const json::array* list = value.if_array()) {
      text += fmt::format("{}\n", name);
      for (const json::value& element : *list) {
        text +=
            fmt::format("  {}\n", element.is_string() ? std::string(element.get_string()) : json::serialize(element));
      }
    } else {
      std::string shown = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
      text += fmt::format("{:<20}{}\n", name, shown);
    }
  }
  return text;
}

std::string read_input(const std::string& file, std::size_t bytes_max) {
  constexpr std::size_t step_bytes = 64 * 1024;
  if (!file.empty() && file != "-") return read_text_file(file, bytes_max);
  std::string text;
  for (;;) {
    std::size_t size = text.size();
    text.resize(size + step_bytes);
    ssize_t got = ::read(STDIN_FILENO, text.data() + size, step_bytes);
    if (got < 0 && errno != EINTR) throw Error(ErrorCode::unavailable, "cannot read standard input");
    text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return text;
    if (text.size() > bytes_max) {
      throw Error(ErrorCode::too_large, fmt::format("standard input has more than {} bytes", bytes_max));
    }
  }
}

}  // namespace gantry::cli
