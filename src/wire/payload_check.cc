#include "wire/payload_check.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/text.h"
#include "wire/payload_keys.h"

namespace gantry::wire {
namespace {

using Type = ValueShape::Type;

constexpr std::size_t shown_bytes_max = 80;

std::string inside(const std::string& path, std::string_view key) {
  bool plain = key.size() <= shown_bytes_max && is_printable_ascii(key);
  std::string result;
  result.reserve(path.size() + 1 + key.size());
  return result.append(path).append(".").append(plain ? std::string(key) : shorten(key, shown_bytes_max));
}

bool asks_for_something(const json::value& value) {
  if (value.is_bool()) return value.get_bool();
  if (value.is_array()) return !value.get_array().empty();
  if (value.is_object()) return !value.get_object().empty();
  return true;
}

std::optional<double> number_of(const json::value& value) {
  boost::system::error_code error;
  auto number = value.to_number<double>(error);
  return error ? std::nullopt : std::optional<double>(number);
}

constexpr double exact_max = 9e15;  // up to here doubles count every integer

bool is_whole(double number) { return std::abs(number) <= exact_max && number == std::floor(number); }

/// Walks the value and the table side by side. `path` is where the value is, "payload.artifacts.x"; `place` where the
/// table has it, "artifacts.*".
class Check {
 public:
  explicit Check(PayloadVerdict& verdict) : verdict_(verdict) {}

  void object(const json::value& value, const std::string& path, const std::string& place) {
    const json::object* members = value.if_object();
    if (!members) return fail(path, "must be an object");
    static const json::value nothing = json::object();
    unknown_keys(*members, path, place);
    for (const PayloadKey& key : payload_keys_at(place)) {
      const json::value* member = members->if_contains(key.key);
      // What stands in an object that is not there has its defaults, too.
      if (!member && key.shape.type == Type::object) member = &nothing;
      bool on_by_default = key.shape.type == Type::boolean && key.otherwise == "true";
      if (key.required && !member) fail(inside(path, key.key), "is required");
      if (member) {
        bool has_places = key.shape.type == Type::object || key.shape.type == Type::map;
        std::string name = has_places && !place.empty() ? place + "." : "";
        if (has_places) name += key.key;
        shape(key.shape, *member, inside(path, key.key), name);
      }
      if (key.plug_in && (member ? asks_for_something(*member) : on_by_default)) ask_for(key);
    }
  }

 private:
  void ask_for(const PayloadKey& key) { verdict_.plug_ins.push_back(key.path()); }

  void report(Error error) {
    std::optional<Error>& known = verdict_.error;
    bool outranked = known && known->fault() == InputFault::meaning && error.fault() == InputFault::schema;
    if (!known || outranked) known = std::move(error);
  }
  void fail(const std::string& path, const std::string& message, std::string hint = {}) {
    report(Error(ErrorCode::invalid_input, fmt::format("{}: {}", path, message), std::move(hint))
               .with_fault(InputFault::schema));
  }
  void contradict(const std::string& path, const std::string& message) {
    report(Error(ErrorCode::invalid_input, fmt::format("{}: {}", path, message)));
  }

  void unknown_keys(const json::object& members, const std::string& path, const std::string& place) {
    const auto keys = payload_keys_at(place);
    for (const auto& member : members) {
      std::string_view key = member.key();
      if (std::ranges::find(keys, key, &PayloadKey::key) != keys.end()) continue;
      std::vector<std::string_view> known;
      std::ranges::transform(keys, std::back_inserter(known), &PayloadKey::key);
      const NotPlanned* never = place == "features" ? not_planned(key) : nullptr;
      if (never) return fail(inside(path, key), "unknown key: this feature is not planned", std::string(never->hint));
      std::string_view nearest = nearest_word(key, known);
      return fail(inside(path, key), "unknown key",
                  nearest.empty() ? fmt::format("known keys: {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean \"{}\"?", nearest));
    }
  }

  void shape(const ValueShape& wanted, const json::value& value, const std::string& path, const std::string& place) {
    switch (wanted.type) {
      case Type::boolean:
        if (!value.is_bool()) fail(path, "must be true or false");
        break;
      case Type::integer: number(wanted, value, path, true); break;
      case Type::number: number(wanted, value, path, false); break;
      case Type::text: text(*wanted.form, value, path); break;
      case Type::time: time(value, path); break;
      case Type::size: size(wanted, value, path); break;
      case Type::list: list(wanted, value, path, place); break;
      case Type::map: map(wanted, value, path, place); break;
      case Type::object: object(value, path, place); break;
      case Type::image: image(wanted, value, path); break;
    }
  }

  void number(const ValueShape& wanted, const json::value& value, const std::string& path, bool whole) {
    auto given = number_of(value);
    bool good = given && *given >= wanted.min && *given <= wanted.max && (!whole || is_whole(*given));
    if (!good)
      fail(path, fmt::format("must be {} from {} to {}", whole ? "an integer" : "a number", wanted.min, wanted.max));
  }

  void text(const TextForm& form, const json::value& value, const std::string& path) {
    const json::string* given = value.if_string();
    if (!given) return fail(path, "must be a string");
    if (!form.words.empty()) {
      if (std::ranges::find(form.words, std::string_view(*given)) != form.words.end()) return;
      return fail(path, fmt::format("\"{}\" must be one of: {}", shorten(*given, shown_bytes_max),
                                    fmt::join(form.words, ", ")));
    }
    text_of_form(form, *given, path);
  }

  void text_of_form(const TextForm& form, std::string_view given, const std::string& path) {
    std::size_t characters = character_count(given);
    if (characters < form.rule.characters_min || characters > form.rule.characters_max) {
      fail(path, fmt::format("must have {} to {} characters, has {}", form.rule.characters_min,
                             form.rule.characters_max, characters));
    } else if (form.rule.valid && !form.rule.valid(given)) {
      fail(path, fmt::format("\"{}\" must be {}", shorten(given, shown_bytes_max), form.rule.must_be));
    } else if (given.size() > form.bytes_max) {
      contradict(path, fmt::format("must have at most {} bytes", form.bytes_max));
    }
  }

  void time(const json::value& value, const std::string& path) {
    const json::string* given = value.if_string();
    if (!given || !parse_time(*given)) fail(path, "must be a time such as \"2026-01-31T12:00:00.000Z\"");
  }

  void size(const ValueShape& wanted, const json::value& value, const std::string& path) {
    std::string bounds = fmt::format("must be {} to {}", format_bytes(static_cast<std::int64_t>(wanted.min)),
                                     format_bytes(static_cast<std::int64_t>(wanted.max)));
    if (const json::string* given = value.if_string()) {
      std::size_t characters = character_count(*given);
      bool readable = characters >= wanted.form->rule.characters_min &&
                      characters <= wanted.form->rule.characters_max && wanted.form->rule.valid(*given);
      if (!readable) return fail(path, fmt::format("must be {}", wanted.form->rule.must_be));
      auto bytes = parse_bytes(*given);
      bool good = bytes && static_cast<double>(*bytes) >= wanted.min && static_cast<double>(*bytes) <= wanted.max;
      if (!good) contradict(path, bounds);
      return;
    }
    auto given = number_of(value);
    if (!given || !is_whole(*given)) return fail(path, fmt::format("must be {}", wanted.form->rule.must_be));
    if (*given < wanted.min || *given > wanted.max) fail(path, bounds);
  }

  void list(const ValueShape& wanted, const json::value& value, const std::string& path, const std::string& place) {
    const json::array* given = value.if_array();
    if (!given) return fail(path, "must be an array");
    if (given->size() > wanted.count_max) {
      return fail(path, fmt::format("must have at most {} elements, has {}", wanted.count_max, given->size()));
    }
    for (std::size_t i = 0; i < given->size(); ++i)
      shape(*wanted.element, (*given)[i], fmt::format("{}.{}", path, i), place);
  }

  void map(const ValueShape& wanted, const json::value& value, const std::string& path, const std::string& place) {
    const json::object* given = value.if_object();
    if (!given) return fail(path, "must be an object");
    if (given->size() > wanted.count_max) {
      return fail(path, fmt::format("must have at most {} members, has {}", wanted.count_max, given->size()));
    }
    for (const auto& member : *given) {
      text_of_form(*wanted.form, member.key(), fmt::format("{}: a name", path));
      std::string at = inside(path, member.key());
      if (wanted.element) {
        shape(*wanted.element, member.value(), at, place);
      } else {
        object(member.value(), at, place + ".*");
      }
    }
  }

  void image(const ValueShape& wanted, const json::value& value, const std::string& path) {
    const json::object* given = value.if_object();
    if (!given) return text(*wanted.form, value, path);
    const json::value* type = given->if_contains("type");
    const json::string* name = type ? type->if_string() : nullptr;
    std::vector<std::string_view> kinds;
    for (const PayloadKey& key : payload_keys_at("image")) {
      kinds.push_back(key.key);
      if (!name || std::string_view(*name) != key.key) continue;
      object(value, path, fmt::format("image.{}", key.key));
      if (key.plug_in) ask_for(key);
      return;
    }
    fail(path + ".type", fmt::format("must be one of: {}", fmt::join(kinds, ", ")));
  }

  PayloadVerdict& verdict_;
};

}  // namespace

PayloadVerdict check_payload(const json::value& payload) {
  PayloadVerdict verdict;
  Check(verdict).object(payload, "payload", "");
  return verdict;
}

std::int64_t size_bytes(const json::value& size) {
  if (const json::string* text = size.if_string()) return parse_bytes(*text).value_or(0);
  return size.to_number<std::int64_t>();
}

}  // namespace gantry::wire
