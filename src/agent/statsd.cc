#include "agent/statsd.h"

#include <fmt/format.h>

namespace gantry::agent {
namespace {

/// Of one part of the prefix.
std::string prefix_part(std::string_view part) {
  std::string text(part.empty() ? "unknown" : part);
  auto dot = text.find('.');
  if (dot != std::string::npos) text[dot] = '-';
  for (char& c : text) {
    if (c == ':' || c == '|' || c == '@' || static_cast<unsigned char>(c) <= ' ') c = '_';
  }
  return text;
}

/// Of a name that a task's author has chosen.
std::string name_part(std::string_view name) {
  std::string text(name.empty() ? "unknown" : name);
  for (char& c : text) {
    if (c == '.' || c == ':' || c == '|' || c == '@' || static_cast<unsigned char>(c) <= ' ') c = '-';
  }
  return text;
}

std::string text_at(const json::object& fields, std::string_view key) {
  const json::value* value = fields.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

class Lines {
 public:
  Lines(std::string_view prefix, const json::object& fields) : prefix_(prefix), fields_(fields) {}

  void count(std::string_view name) { add(name, 1, "c"); }
  /// Nothing if the event does not have the number.
  void time(std::string_view name, std::string_view field) { add_field(name, field, "ms"); }
  void gauge(std::string_view name, std::string_view field) { add_field(name, field, "g"); }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  void add(std::string_view name, std::int64_t value, std::string_view kind) {
    lines_.push_back(fmt::format("{}.{}:{}|{}", prefix_, name, value, kind));
  }
  void add_field(std::string_view name, std::string_view field, std::string_view kind) {
    const json::value* value = fields_.if_contains(field);
    if (value && value->is_int64()) add(name, value->get_int64(), kind);
  }

  std::string_view prefix_;
  const json::object& fields_;
  std::vector<std::string> lines_;
};

}  // namespace

std::string statsd_prefix(std::string_view prefix, std::string_view task_queue, std::string_view worker_group,
                          std::string_view node_type) {
  auto slash = std::min(task_queue.find('/'), task_queue.size());
  std::string_view type = task_queue.substr(std::min(slash + 1, task_queue.size()));
  std::string all = prefix.empty() ? std::string() : prefix_part(prefix) + ".";
  return fmt::format("{}docker-worker.{}.{}.{}.{}", all, prefix_part(task_queue.substr(0, slash)),
                     prefix_part(worker_group), prefix_part(type), prefix_part(node_type));
}

std::vector<std::string> statsd_lines(std::string_view prefix, std::string_view event, const json::object& fields) {
  constexpr std::string_view cache_event = "cache volume ";
  Lines lines(prefix, fields);
  if (event == "start") lines.count("started");
  if (event == "claimed task") {
    lines.count("tasks.claims");
    lines.time("tasks.time.claim", "ms");
    const json::value* run = fields.if_contains("runId");
    if (run && run->is_int64() && run->get_int64() == 0) lines.time("tasks.time.to_reach_worker", "createdMsAgo");
  }
  if (event == "reclaimed task") {
    lines.count("tasks.reclaims");
    lines.time("tasks.time.reclaim", "ms");
  }
  if (event == "cancel task") lines.count("tasks.canceled");
  if (event == "task aborted") lines.count("tasks.aborted");
  if (event == "task max runtime timeout") {
    lines.count("tasks.timed_out");
    lines.gauge("tasks.timed_out.max_run_time", "maxRunTime");
  }
  if (event == "task resolved") {
    lines.time("tasks.time.total", "totalMs");
    lines.time("tasks.time.completed", "reportMs");
    lines.time("tasks.time.run", "runMs");
  }
  if (event == "task step") lines.time("tasks.time.states." + name_part(text_at(fields, "step")), "ms");
  if (event.starts_with(cache_event)) {
    std::string_view what = event.substr(cache_event.size());
    bool counted = what == "hit" || what == "miss" || what == "created";
    if (counted) lines.count(fmt::format("cache.volume.{}.{}", name_part(text_at(fields, "name")), what));
  }
  return lines.take();
}

Observer statsd_observer(std::string prefix, std::function<void(std::string line)> send) {
  return [prefix = std::move(prefix), send = std::move(send)](std::string_view event, const json::object& fields) {
    for (std::string& line : statsd_lines(prefix, event, fields)) send(std::move(line));
  };
}

std::string event_line(Time now, std::string_view event, const json::object& fields) {
  std::string line;
  JsonWriter out(line);
  out.begin_object().field("time", now).field("type", event);
  for (const auto& [name, value] : fields) {
    if (name != "time" || event != "pending shutdown") {
      out.key(name == "type" || name == "time" ? fmt::format("{}_", std::string_view(name)) : std::string(name));
    } else {
      out.key("seconds");
    }
    out.raw(json::serialize(value));
  }
  out.end_object();
  return line + "\n";
}

}  // namespace gantry::agent
