// For tests: a task's definition as a client sends it, to be changed where a test is about.
#pragma once

#include <concepts>
#include <string>

#include <boost/json/serialize.hpp>

#include "base/json.h"

namespace gantry::wire {

/// Any JSON value, from whatever can be one.
struct AnyJson {
  json::value value;
  AnyJson(const std::string& text) : value(json::string(text)) {}
  AnyJson(std::initializer_list<json::value_ref> list) : value(list) {}
  template <class T>
    requires std::constructible_from<json::value, T>
  AnyJson(T&& from) : value(std::forward<T>(from)) {}
};

inline json::object payload_json() { return {{"image", "debian:12"}, {"command", {"true"}}, {"maxRunTime", 600}}; }

/// Valid if it is created at `created`: in an hour, for queue prov/queue.
inline json::object task_json(Time created) {
  return {{"taskQueueId", "prov/queue"},
          {"created", format_time(created)},
          {"deadline", format_time(created + hours(1))},
          {"payload", payload_json()},
          {"metadata",
           {{"name", "a test"}, {"description", ""}, {"owner", "me@example.com"}, {"source", "https://example.com/"}}}};
}

inline std::string text_of(const json::object& object) { return json::serialize(object); }

}  // namespace gantry::wire
