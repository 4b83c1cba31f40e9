#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parser.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace gantry {

Result<json::value> parse_json(std::string_view text, json::storage_ptr storage) {
  json::parse_options options;
  options.max_depth = json_depth_max;
  unsigned char buffer[4096];
  json::parser parser({}, options, buffer);
  parser.reset(std::move(storage));
  boost::system::error_code error;
  std::size_t used = parser.write(text.data(), text.size(), error);
  if (error) {
    return Error(ErrorCode::invalid_input, fmt::format("not valid JSON at byte {}: {}", used, error.message()))
        .with_fault(InputFault::syntax);
  }
  return parser.release();
}

namespace {

bool needs_escape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

/// How many bytes come before the first that needs an escape; looked at in words of eight.
std::size_t clean_prefix(std::string_view text) {
  constexpr std::uint64_t ones = 0x0101010101010101u;
  constexpr std::uint64_t highs = 0x8080808080808080u;
  auto has_zero = [](std::uint64_t word) { return (word - ones) & ~word & highs; };
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    std::uint64_t control = (word - ones * 0x20) & ~word & highs;
    if (control || has_zero(word ^ (ones * '"')) || has_zero(word ^ (ones * '\\'))) break;
  }
  while (i < text.size() && !needs_escape(text[i])) ++i;
  return i;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::size_t clean = clean_prefix(text);
  if (clean == text.size()) {  // nearly always; one growth of `out` instead of three
    std::size_t begin = out.size();
    std::size_t end = begin + text.size() + 2;
    // libstdc++ 12 tells the lambda the new capacity where it should tell the size: use `end`.
    out.resize_and_overwrite(end, [&](char* bytes, std::size_t) {
      bytes[begin] = '"';
      std::copy(text.begin(), text.end(), bytes + begin + 1);
      bytes[end - 1] = '"';
      return end;
    });
    return;
  }
  out += '"';
  std::size_t clean_from = 0;
  for (std::size_t i = clean; i < text.size(); ++i) {
    if (!needs_escape(text[i])) continue;
    auto c = static_cast<unsigned char>(text[i]);
    out.append(text, clean_from, i - clean_from);
    clean_from = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        out += "\\u00";
        out += hex[c >> 4];
        out += hex[c & 15];
    }
  }
  out.append(text, clean_from);
  out += '"';
}

namespace {

void append_integer(std::string& out, std::int64_t value) {
  char digits[24];
  auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

constexpr int real_rounds_max = 16;

void append_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  if (value == std::floor(value) && std::abs(value) < 9e15) {
    append_integer(out, static_cast<std::int64_t>(value));
    return;
  }
  // This Boost.JSON reads some doubles an ulp off. Print one that it reads as itself, so that a document that was read
  // from here and sent back is still equal.
  char digits[40];
  std::string_view text;
  for (int round = 0; round < real_rounds_max; ++round) {
    text = {digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits)};
    auto read = parse_json(text);
    if (!read || !read.value().is_double() || read.value().get_double() == value) break;
    value = read.value().get_double();
  }
  out += text;
}

void append_canonical_object(std::string& out, const json::object& object) {
  std::vector<const json::key_value_pair*> members;
  members.reserve(object.size());
  for (const auto& member : object) members.push_back(&member);
  std::ranges::sort(members, {}, [](const json::key_value_pair* member) { return std::string_view(member->key()); });
  out += '{';
  bool first = true;
  for (const auto* member : members) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, member->key());
    out += ':';
    append_canonical_json(out, member->value());
  }
  out += '}';
}

}  // namespace

void append_canonical_json(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: out += "null"; break;
    case json::kind::bool_: out += value.get_bool() ? "true" : "false"; break;
    case json::kind::int64: append_integer(out, value.get_int64()); break;
    case json::kind::uint64: out += fmt::format("{}", value.get_uint64()); break;
    case json::kind::double_: append_real(out, value.get_double()); break;
    case json::kind::string: append_json_string(out, value.get_string()); break;
    case json::kind::object: append_canonical_object(out, value.get_object()); break;
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const auto& element : value.get_array()) {
        if (!first) out += ',';
        first = false;
        append_canonical_json(out, element);
      }
      out += ']';
      break;
    }
  }
}

JsonWriter& JsonWriter::string(std::string_view text) {
  comma();
  append_json_string(out_, text);
  return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
  comma();
  append_integer(out_, value);
  return *this;
}

JsonWriter& JsonWriter::real(double value) {
  comma();
  append_real(out_, value);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) { return raw(value ? "true" : "false"); }

JsonWriter& JsonWriter::time(Time value) {
  comma();
  out_ += '"';
  append_time(out_, value);
  out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  comma();
  out_ += json;
  return *this;
}

ObjectReader::ObjectReader(const json::value& value, std::string path)
    : object_(value.if_object()), path_(std::move(path)) {
  if (!object_) {
    error_ = Error(ErrorCode::invalid_input, fmt::format("{}: must be an object", path_.empty() ? "the body" : path_))
                 .with_fault(InputFault::schema);
  }
}

std::string ObjectReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void ObjectReader::fail(std::string_view key, std::string message, std::string hint) {
  fail(Error(ErrorCode::invalid_input, fmt::format("{}: {}", path_of(key), message), std::move(hint))
           .with_fault(InputFault::schema));
}

void ObjectReader::contradict(std::string_view key, std::string message) {
  fail(Error(ErrorCode::invalid_input, fmt::format("{}: {}", path_of(key), message)));
}

void ObjectReader::fail(Error error) {
  bool outranked = error_ && error_->fault() == InputFault::meaning && error.fault() == InputFault::schema;
  if (!error_ || outranked) error_ = std::move(error);
}

bool ObjectReader::has(std::string_view key) { return find(key) != nullptr; }

const json::value* ObjectReader::find(std::string_view key) {
  known_.push_back(key);
  return object_ ? object_->if_contains(key) : nullptr;
}

const json::value* ObjectReader::require(std::string_view key) {
  const json::value* value = find(key);
  if (!value) fail(key, "is required");
  return value;
}

std::string_view ObjectReader::check_text(std::string_view key, const json::value& value, const TextRule& rule) {
  const json::string* text = value.if_string();
  if (!text) {
    fail(key, "must be a string");
    return {};
  }
  // Hardly any text is so long that its characters must be counted, or has to have more than one.
  bool count = rule.characters_min > 1 || text->size() > rule.characters_max;
  std::size_t characters = count ? character_count(*text) : text->size();
  if (characters < rule.characters_min || characters > rule.characters_max) {
    fail(key,
         fmt::format("must have {} to {} characters, has {}", rule.characters_min, rule.characters_max, characters));
    return {};
  }
  if (rule.valid && !rule.valid(*text)) {
    std::string message = fmt::format("{}: \"{}\" must be {}", path_of(key), shorten(*text, 80), rule.must_be);
    fail(Error(ErrorCode::invalid_input, std::move(message)).with_fault(rule.fault));
    return {};
  }
  return *text;
}

std::string_view ObjectReader::text(std::string_view key, const TextRule& rule, std::string_view otherwise) {
  const json::value* value = find(key);
  return value ? check_text(key, *value, rule) : otherwise;
}

std::string_view ObjectReader::required_text(std::string_view key, const TextRule& rule) {
  const json::value* value = require(key);
  return value ? check_text(key, *value, rule) : std::string_view();
}

std::int64_t ObjectReader::integer(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t otherwise) {
  const json::value* value = find(key);
  if (!value) return otherwise;
  boost::system::error_code error;
  auto number = value->to_number<std::int64_t>(error);
  if (error || number < min || number > max) {
    fail(key, fmt::format("must be an integer from {} to {}", min, max));
    return otherwise;
  }
  return number;
}

std::int64_t ObjectReader::required_integer(std::string_view key, std::int64_t min, std::int64_t max) {
  if (!require(key)) return min;
  return integer(key, min, max, min);
}

double ObjectReader::real(std::string_view key, double min, double max, double otherwise) {
  const json::value* value = find(key);
  if (!value) return otherwise;
  boost::system::error_code error;
  auto number = value->to_number<double>(error);
  if (error || !(number >= min && number <= max)) {
    fail(key, fmt::format("must be a number from {} to {}", min, max));
    return otherwise;
  }
  return number;
}

bool ObjectReader::boolean(std::string_view key, bool otherwise) {
  const json::value* value = find(key);
  if (!value) return otherwise;
  if (!value->is_bool()) {
    fail(key, "must be true or false");
    return otherwise;
  }
  return value->get_bool();
}

std::optional<Time> ObjectReader::time(std::string_view key) {
  const json::value* value = find(key);
  if (!value) return std::nullopt;
  const json::string* text = value->if_string();
  auto time = text ? parse_time(*text) : std::nullopt;
  if (!time) fail(key, "must be a time such as \"2026-01-31T12:00:00.000Z\"");
  return time;
}

const json::array* ObjectReader::array(std::string_view key, std::size_t size_max) {
  const json::value* value = find(key);
  if (!value) return nullptr;
  const json::array* found = value->if_array();
  if (!found) {
    fail(key, "must be an array");
  } else if (found->size() > size_max) {
    fail(key, fmt::format("must have at most {} elements, has {}", size_max, found->size()));
    return nullptr;
  }
  return found;
}

const json::object* ObjectReader::object(std::string_view key, std::size_t size_max) {
  const json::value* value = find(key);
  if (!value) return nullptr;
  const json::object* found = value->if_object();
  if (!found) {
    fail(key, "must be an object");
  } else if (found->size() > size_max) {
    fail(key, fmt::format("must have at most {} members, has {}", size_max, found->size()));
    return nullptr;
  }
  return found;
}

Result<void> ObjectReader::finish() {
  if (!object_ || (error_ && error_->fault() != InputFault::meaning)) return *error_;
  for (const auto& member : *object_) {
    std::string_view key = member.key();
    if (std::ranges::find(known_, key) != known_.end()) continue;
    auto nearest = nearest_word(key, known_);
    return Error(ErrorCode::invalid_input, fmt::format("{}: unknown key", path_of(shorten(key, 80))),
                 nearest.empty() ? fmt::format("known keys: {}", fmt::join(known_, ", "))
                                 : fmt::format("did you mean \"{}\"?", nearest))
        .with_fault(InputFault::schema);
  }
  if (error_) return *error_;
  return success();
}

}  // namespace gantry
