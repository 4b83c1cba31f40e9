// How the codecs of records read and write their fields.
#pragma once

#include <algorithm>
#include <climits>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/time.h"

namespace gantry::state {

inline constexpr int record_version = 1;

template <class Tag>
void add_slug(JsonWriter& out, std::string_view name, const SlugId<Tag>& id) {
  char text[22];
  encode_slug(id.bytes(), text);
  out.field(name, std::string_view(text, sizeof text));
}

inline void add_time(JsonWriter& out, std::string_view name, Time time) {
  if (time != Time()) out.field(name, to_ms(time));
}

inline void add_text(JsonWriter& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.field(name, text);
}

inline void add_texts(JsonWriter& out, std::string_view name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  out.key(name).begin_array();
  for (const std::string& text : texts) out.string(text);
  out.end_array();
}

/// A stored record, read field by field; anything unexpected makes the record corrupt.
class Stored {
 public:
  Stored(std::string_view kind, std::string_view bytes) : kind_(kind), memory_(buffer_, sizeof buffer_) {
    auto parsed = parse_json(bytes, &memory_);
    if (!parsed || !parsed.value().is_object()) {
      damage("not a JSON object");
      return;
    }
    document_ = std::move(parsed).value();
    object_ = document_.if_object();
    std::int64_t version = number("v", 0);
    if (version > record_version) {
      error_ = Error(ErrorCode::unsupported,
                     fmt::format("a stored {} has format {}, this build knows {}", kind_, version, record_version),
                     "start the newer gantry that wrote it");
    }
  }

  void use(const json::value& value) { object_ = value.if_object(); }
  const json::object& object() const { return *object_; }

  std::string_view text(std::string_view key) {
    const json::value* value = find(key);
    if (!value) return {};
    if (const json::string* text = value->if_string()) return *text;
    damage(key);
    return {};
  }
  std::int64_t number(std::string_view key, std::int64_t otherwise) {
    const json::value* value = find(key);
    if (!value) return otherwise;
    boost::system::error_code error;
    auto number = value->to_number<std::int64_t>(error);
    if (error) damage(key);
    return number;
  }
  double real(std::string_view key) {
    const json::value* value = find(key);
    if (!value) return 0;
    boost::system::error_code error;
    auto number = value->to_number<double>(error);
    if (error) damage(key);
    return number;
  }
  std::vector<std::string> texts(std::string_view key) {
    std::vector<std::string> texts;
    const json::value* value = find(key);
    if (!value) return texts;
    const json::array* array = value->if_array();
    if (!array) damage(key);
    for (std::size_t i = 0; array && i < array->size(); ++i) {
      const json::string* text = (*array)[i].if_string();
      if (text) texts.emplace_back(*text);
      if (!text) damage(key);
    }
    return texts;
  }
  bool flag(std::string_view key, bool otherwise) {
    const json::value* value = find(key);
    return value && value->is_bool() ? value->get_bool() : otherwise;
  }
  Time time(std::string_view key) {
    Time at = time_from_ms(number(key, 0));
    if (at < time_min || at > time_max) damage(key);
    return std::clamp(at, time_min, time_max);
  }
  int integer(std::string_view key, int otherwise) {
    std::int64_t value = number(key, otherwise);
    if (value < INT_MIN || value > INT_MAX) damage(key);
    return static_cast<int>(std::clamp<std::int64_t>(value, INT_MIN, INT_MAX));
  }
  template <class Tag>
  SlugId<Tag> slug(std::string_view key) {
    auto id = SlugId<Tag>::parse(text(key));
    if (!id) damage(key);
    return id.value_or(SlugId<Tag>());
  }
  template <class Enum>
  Enum word(std::string_view key, std::optional<Enum> (*parse)(std::string_view)) {
    auto value = parse(text(key));
    if (!value) damage(key);
    return value.value_or(Enum());
  }
  const json::value* find(std::string_view key) { return object_ ? object_->if_contains(key) : nullptr; }

  void damage(std::string_view what) {
    if (error_) return;
    error_ = Error(ErrorCode::corrupt, fmt::format("a stored {} is damaged: {}", kind_, what),
                   "restore the database from a backup");
  }

  template <class Record>
  Result<Record> finish(Record record) {
    if (error_) return *error_;
    return record;
  }

 private:
  std::string_view kind_;
  unsigned char buffer_[4096];
  json::monotonic_resource memory_;
  json::value document_ = json::value(json::storage_ptr(&memory_));
  const json::object* object_ = nullptr;
  std::optional<Error> error_;
};

}  // namespace gantry::state
