// Prints a document as JSON or YAML.
#pragma once

#include <string>

#include "base/json.h"

namespace gantry::cli {

/// Indented by two spaces, keys in the document's order, with a line end.
std::string to_json_text(const json::value& value);
/// YAML that any reader takes for the same document.
std::string to_yaml_text(const json::value& value);

/// `format` is "json" or "yaml".
void print_document(const json::value& value, std::string_view format);

// Reading answers of the server: what is not there or of another type is empty or 0.
std::string_view text_at(const json::value& object, std::string_view key);
std::int64_t number_at(const json::value& object, std::string_view key);
const json::array& array_at(const json::value& object, std::string_view key);
/// Null if it is not there.
const json::value& value_at(const json::value& object, std::string_view key);

}  // namespace gantry::cli
