// What the commands about clients, roles and secrets share.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/command.h"

namespace gantry::cli {

/// `[text, ...]`, as a request holds it.
void append_texts(JsonWriter& out, std::string_view key, const std::vector<std::string>& texts);
/// "3 scopes", or the scope itself if it is one.
std::string scopes_summary(const json::value& record);
/// One line a member, lists one line an element.
std::string record_text(const json::value& record);
/// All of a file, or of standard input for "-" or "". Throws Error (too_large, not_found, unavailable).
std::string read_input(const std::string& file, std::size_t bytes_max);

}  // namespace gantry::cli
