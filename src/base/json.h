// JSON: Boost.JSON for reading, a plain appender for writing (records and answers are written far more often than they
// are inspected, and never need a DOM for it).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/error.h"
#include "base/time.h"

namespace gantry {

namespace json = boost::json;

inline constexpr std::size_t json_depth_max = 32;

/// The document, or invalid_input with the position of the first error. Duplicate keys keep the last value.
Result<json::value> parse_json(std::string_view text, json::storage_ptr storage = {});

void append_json_string(std::string& out, std::string_view text);
/// With the keys of every object sorted and numbers in one spelling, so that equal documents have equal bytes.
void append_canonical_json(std::string& out, const json::value& value);

/// Appends one document to a string, putting the commas. Calls must nest properly; nothing checks.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name) {
    comma();
    append_json_string(out_, name);
    out_ += ':';
    comma_ = false;
    return *this;
  }
  JsonWriter& string(std::string_view text);
  JsonWriter& number(std::int64_t value);
  JsonWriter& real(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& time(Time value);
  /// Text that is JSON already.
  JsonWriter& raw(std::string_view json);

  JsonWriter& field(std::string_view name, std::string_view text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, const char* text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, const std::string& text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, std::int64_t value) { return key(name).number(value); }
  JsonWriter& field(std::string_view name, std::uint64_t value) {
    return key(name).number(static_cast<std::int64_t>(value));
  }
  JsonWriter& field(std::string_view name, int value) { return key(name).number(value); }
  JsonWriter& field(std::string_view name, double value) { return key(name).real(value); }
  JsonWriter& field(std::string_view name, bool value) { return key(name).boolean(value); }
  JsonWriter& field(std::string_view name, Time value) { return key(name).time(value); }

 private:
  void comma() {
    if (comma_) out_ += ',';
    comma_ = true;
  }
  JsonWriter& open(char bracket) {
    comma();
    out_ += bracket;
    comma_ = false;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    comma_ = true;
    return *this;
  }

  std::string& out_;
  bool comma_ = false;
};

/// Reads one JSON object field by field. The first thing that is wrong is kept and named with its path
/// ("payload.artifacts.x.type: ..."); what is not of the right form (InputFault::schema) goes before what cannot be
/// (InputFault::meaning), as where a schema is checked first. Later reads return defaults. Call finish() last: it also
/// refuses unknown keys and names the nearest known one.
class ObjectReader {
 public:
  /// `value` must outlive the reader. If it is not an object, that is the error.
  ObjectReader(const json::value& value, std::string path);

  struct TextRule {
    std::size_t characters_min = 0;  // code points; a text has up to four times as many bytes
    std::size_t characters_max = 4096;
    bool (*valid)(std::string_view) = nullptr;
    const char* must_be = "";  // completes "must be ..." if `valid` refuses
    /// Of what `valid` refuses: `meaning` where it refuses more than the published schema does.
    InputFault fault = InputFault::schema;
  };

  bool has(std::string_view key);
  /// The member, marked as known; nullptr if it is not there.
  const json::value* find(std::string_view key);
  const json::value* require(std::string_view key);
  std::string_view text(std::string_view key, const TextRule& rule, std::string_view otherwise);
  std::string_view required_text(std::string_view key, const TextRule& rule);
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t otherwise);
  std::int64_t required_integer(std::string_view key, std::int64_t min, std::int64_t max);
  double real(std::string_view key, double min, double max, double otherwise);
  bool boolean(std::string_view key, bool otherwise);
  std::optional<Time> time(std::string_view key);
  const json::array* array(std::string_view key, std::size_t size_max);
  const json::object* object(std::string_view key, std::size_t size_max);

  /// Records that `key` is wrong: "<path>.<key>: <message>".
  void fail(std::string_view key, std::string message, std::string hint = {});
  /// The same of a value that has the right form but cannot be (InputFault::meaning).
  void contradict(std::string_view key, std::string message);
  void fail(Error error);
  bool ok() const { return !error_; }
  std::string path_of(std::string_view key) const;
  /// Makes `key` known without reading it.
  void allow(std::string_view key) { known_.push_back(key); }

  Result<void> finish();

 private:
  std::string_view check_text(std::string_view key, const json::value& value, const TextRule& rule);

  const json::object* object_ = nullptr;
  std::string path_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace gantry
