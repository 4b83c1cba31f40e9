#include "cli/output.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr std::size_t indent_step = 2;

bool is_scalar(const json::value& value) { return !value.is_object() && !value.is_array(); }
bool is_empty(const json::value& value) {
  return (value.is_object() && value.get_object().empty()) || (value.is_array() && value.get_array().empty());
}

void append_scalar(std::string& out, const json::value& value) { append_canonical_json(out, value); }

void append_json(std::string& out, const json::value& value, std::size_t indent) {
  if (is_scalar(value) || is_empty(value)) {
    append_scalar(out, value);
    return;
  }
  bool object = value.is_object();
  out += object ? "{\n" : "[\n";
  std::string space(indent + indent_step, ' ');
  bool first = true;
  auto next = [&] {
    if (!first) out += ",\n";
    first = false;
    out += space;
  };
  if (object) {
    for (const auto& member : value.get_object()) {
      next();
      append_json_string(out, member.key());
      out += ": ";
      append_json(out, member.value(), indent + indent_step);
    }
  } else {
    for (const auto& element : value.get_array()) {
      next();
      append_json(out, element, indent + indent_step);
    }
  }
  out += '\n' + std::string(indent, ' ') + (object ? '}' : ']');
}

/// Text that YAML takes for text without quotes: words, numbers excluded.
bool is_plain_yaml(std::string_view text) {
  static constexpr std::string_view reserved[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  if (text.empty() || text.size() > 200) return false;
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!letter(text.front())) return false;
  bool clean = std::ranges::all_of(text, [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || std::string_view("-_./").find(c) != std::string_view::npos;
  });
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return clean && std::ranges::find(reserved, lower) == std::end(reserved);
}

void append_yaml_text(std::string& out, std::string_view text) {
  if (is_plain_yaml(text)) {
    out += text;
  } else {
    append_json_string(out, text);  // YAML's double-quoted style holds every JSON string
  }
}

void append_yaml(std::string& out, const json::value& value, std::size_t indent, bool in_line);

/// What follows "key:" or "-".
void append_yaml_after(std::string& out, const json::value& value, std::size_t indent, bool after_dash) {
  if (is_scalar(value) || is_empty(value)) {
    out += ' ';
    if (value.is_string()) {
      append_yaml_text(out, value.get_string());
    } else {
      append_scalar(out, value);
    }
    out += '\n';
  } else if (after_dash) {
    out += ' ';
    append_yaml(out, value, indent + indent_step, true);
  } else {
    out += '\n';
    append_yaml(out, value, indent + indent_step, false);
  }
}

/// `in_line`: the first line has its indent already.
void append_yaml(std::string& out, const json::value& value, std::size_t indent, bool in_line) {
  std::string space(indent, ' ');
  auto begin_line = [&] {
    if (!in_line) out += space;
    in_line = false;
  };
  if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      begin_line();
      append_yaml_text(out, member.key());
      out += ':';
      append_yaml_after(out, member.value(), indent, false);
    }
  } else {
    for (const auto& element : value.get_array()) {
      begin_line();
      out += '-';
      append_yaml_after(out, element, indent, true);
    }
  }
}

const json::value nothing;
const json::array no_elements;

}  // namespace

std::string to_json_text(const json::value& value) {
  std::string out;
  append_json(out, value, 0);
  out += '\n';
  return out;
}

std::string to_yaml_text(const json::value& value) {
  std::string out;
  if (is_scalar(value) || is_empty(value)) {
    append_scalar(out, value);
    out += '\n';
  } else {
    append_yaml(out, value, 0, false);
  }
  return out;
}

void print_document(const json::value& value, std::string_view format) {
  print(format == "yaml" ? to_yaml_text(value) : to_json_text(value));
}

const json::value& value_at(const json::value& object, std::string_view key) {
  const json::object* members = object.if_object();
  const json::value* found = members ? members->if_contains(key) : nullptr;
  return found ? *found : nothing;
}

std::string_view text_at(const json::value& object, std::string_view key) {
  const json::string* text = value_at(object, key).if_string();
  return text ? std::string_view(*text) : std::string_view();
}

std::int64_t number_at(const json::value& object, std::string_view key) {
  const json::value& value = value_at(object, key);
  if (value.is_int64()) return value.get_int64();
  if (value.is_double()) return static_cast<std::int64_t>(value.get_double());
  return 0;
}

const json::array& array_at(const json::value& object, std::string_view key) {
  const json::array* elements = value_at(object, key).if_array();
  return elements ? *elements : no_elements;
}

}  // namespace gantry::cli
