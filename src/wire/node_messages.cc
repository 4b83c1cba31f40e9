#include "wire/node_messages.h"

#include <fmt/format.h>

#include "base/text.h"
#include "wire/payload.h"
#include "wire/shell_messages.h"
#include "wire/task_definition.h"

namespace gantry::wire {
namespace {

constexpr ObjectReader::TextRule identifier_rule{1, 38, is_identifier, "1 to 38 of [a-zA-Z0-9-_]"};
constexpr ObjectReader::TextRule queue_rule{3, 77, is_task_queue_id, "\"<provisionerId>/<workerType>\""};
constexpr ObjectReader::TextRule cache_rule{1, cache_name_characters_max, is_printable_ascii, "printable ASCII"};
constexpr int cache_instances_max = 1'000'000;
constexpr std::int64_t clock_ahead_ms_max = std::int64_t{1} << 50;

void append_runs(JsonWriter& out, std::string_view key, const std::vector<RunRef>& runs) {
  out.key(key).begin_array();
  for (const RunRef& ref : runs) {
    out.begin_object().field("taskId", ref.task.to_string()).field("runId", ref.run).end_object();
  }
  out.end_array();
}

std::vector<RunRef> read_runs(ObjectReader& reader, std::string_view key) {
  std::vector<RunRef> runs;
  const json::array* array = reader.array(key, holds_max);
  if (!array) return runs;
  for (const auto& element : *array) {
    ObjectReader entry(element, fmt::format("{}.{}", key, runs.size()));
    auto id = TaskId::parse(entry.required_text("taskId", {}));
    if (!id) entry.fail("taskId", "is not a slugid");
    int run = static_cast<int>(entry.required_integer("runId", 0, 1000));
    if (auto done = entry.finish(); !done) {
      reader.fail(done.error());
      return runs;
    }
    runs.push_back({*id, run});
  }
  return runs;
}

void append_caches(JsonWriter& out, const std::vector<CacheSummary>& caches) {
  if (caches.empty()) return;
  out.key("caches").begin_array();
  for (const CacheSummary& cache : caches) {
    out.begin_object().field("name", cache.name).field("taskQueueId", cache.task_queue);
    out.field("instances", cache.instances).field("inUse", cache.in_use).field("lastUsed", cache.last_used);
    out.end_object();
  }
  out.end_array();
}

std::vector<CacheSummary> read_caches(ObjectReader& reader) {
  std::vector<CacheSummary> caches;
  const json::array* array = reader.array("caches", caches_told_max);
  if (!array) return caches;
  for (const auto& element : *array) {
    ObjectReader entry(element, fmt::format("caches.{}", caches.size()));
    CacheSummary cache;
    cache.name = entry.required_text("name", cache_rule);
    cache.task_queue = entry.required_text("taskQueueId", queue_rule);
    cache.instances = static_cast<int>(entry.required_integer("instances", 1, cache_instances_max));
    cache.in_use = static_cast<int>(entry.required_integer("inUse", 0, cache_instances_max));
    cache.last_used = entry.time("lastUsed").value_or(Time());
    if (auto done = entry.finish(); !done) {
      reader.fail(done.error());
      return caches;
    }
    caches.push_back(std::move(cache));
  }
  return caches;
}

void append_shells(JsonWriter& out, const std::vector<ShellRequest>& shells) {
  if (shells.empty()) return;
  out.key("shells").begin_array();
  for (const ShellRequest& shell : shells) {
    out.begin_object().field("session", shell.session).field("taskId", shell.run.task.to_string());
    out.field("runId", shell.run.run).field("tty", shell.tty).key("command").begin_array();
    for (const std::string& word : shell.command) out.string(word);
    out.end_array().end_object();
  }
  out.end_array();
}

std::vector<std::string> read_words(ObjectReader& reader, std::string_view key) {
  std::vector<std::string> words;
  const json::array* array = reader.array(key, shell_words_max);
  if (!array) return words;
  for (const json::value& element : *array) {
    const json::string* word = element.if_string();
    if (!word || word->size() > shell_command_bytes_max) reader.fail(key, "must be words");
    if (!reader.ok()) return {};
    words.emplace_back(*word);
  }
  return words;
}

std::vector<ShellRequest> read_shells(ObjectReader& reader) {
  std::vector<ShellRequest> shells;
  const json::array* array = reader.array("shells", shells_told_max);
  if (!array) return shells;
  for (const auto& element : *array) {
    ObjectReader entry(element, fmt::format("shells.{}", shells.size()));
    ShellRequest shell;
    shell.session = entry.required_text("session", identifier_rule);
    auto id = TaskId::parse(entry.required_text("taskId", {}));
    if (!id) entry.fail("taskId", "is not a slugid");
    shell.run = {id.value_or(TaskId()), static_cast<int>(entry.required_integer("runId", 0, 1000))};
    shell.tty = entry.boolean("tty", false);
    shell.command = read_words(entry, "command");
    if (auto done = entry.finish(); !done) {
      reader.fail(done.error());
      return shells;
    }
    shells.push_back(std::move(shell));
  }
  return shells;
}

ContainerEnd read_end(ObjectReader& reader) {
  ContainerEnd end;
  const json::value* value = reader.find("exit");
  if (!value) return end;
  ObjectReader exit(*value, "exit");
  end.known = true;
  end.cause = shorten(exit.text("cause", {0, 40}, "exited"), 40);
  end.exit_code = static_cast<int>(exit.integer("code", -1000, 1000, 0));
  end.signal = static_cast<int>(exit.integer("signal", 0, 128, 0));
  end.out_of_memory = exit.boolean("outOfMemory", false);
  end.message = shorten(exit.text("message", {0, 4096}, ""), 1000);
  if (const json::object* steps = exit.object("steps", steps_max)) {
    for (const auto& step : *steps) {
      const json::string* text = step.value().if_string();
      auto at = text ? parse_time(*text) : std::nullopt;
      if (!at) exit.fail(fmt::format("steps.{}", shorten(step.key(), 40)), "must be a time");
      end.steps.emplace_back(shorten(step.key(), 40), at.value_or(Time()));
    }
  }
  if (auto done = exit.finish(); !done) reader.fail(done.error());
  return end;
}

}  // namespace

void append_end(JsonWriter& out, const ContainerEnd& end) {
  if (!end.known) return;
  out.key("exit").begin_object().field("cause", end.cause).field("code", end.exit_code);
  if (end.signal) out.field("signal", end.signal);
  if (end.out_of_memory) out.field("outOfMemory", true);
  if (!end.message.empty()) out.field("message", end.message);
  if (!end.steps.empty()) {
    out.key("steps").begin_object();
    for (const auto& [name, at] : end.steps) out.field(name, at);
    out.end_object();
  }
  out.end_object();
}

std::string to_json(const NodePoll& poll) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("name", poll.name).field("taskQueueId", poll.task_queue);
  out.field("workerGroup", poll.worker_group).field("workerId", poll.worker_id).field("slots", poll.slots);
  out.field("memoryBytes", poll.memory_bytes).field("cpus", poll.cpus).field("version", poll.version);
  out.field("seenGeneration", poll.seen_generation).field("restarted", poll.restarted);
  append_runs(out, "holds", poll.holds);
  if (!poll.trouble.empty()) out.field("trouble", poll.trouble);
  append_caches(out, poll.caches);
  if (poll.clock_ahead_ms != 0) out.field("clockAheadMs", poll.clock_ahead_ms);
  out.end_object();
  return body;
}

Result<NodePoll> parse_node_poll(std::string_view body) {
  TRY(auto document, parse_json(body));
  ObjectReader reader(document, "");
  NodePoll poll;
  poll.name = reader.required_text("name", {1, 255, is_printable_ascii, "printable ASCII"});
  poll.task_queue = reader.required_text("taskQueueId", queue_rule);
  poll.worker_group = reader.required_text("workerGroup", identifier_rule);
  poll.worker_id = reader.required_text("workerId", identifier_rule);
  poll.slots = static_cast<int>(reader.required_integer("slots", 0, 10'000));
  poll.memory_bytes = reader.required_integer("memoryBytes", 0, std::int64_t{1} << 50);
  poll.cpus = reader.real("cpus", 0, 100'000, 0);
  poll.version = reader.text("version", {0, 100}, "");
  poll.seen_generation = static_cast<std::uint64_t>(reader.integer("seenGeneration", 0, INT64_MAX, 0));
  poll.restarted = reader.boolean("restarted", false);
  poll.holds = read_runs(reader, "holds");
  poll.trouble = shorten(reader.text("trouble", {0, 4096}, ""), 500);
  poll.caches = read_caches(reader);
  poll.clock_ahead_ms = reader.integer("clockAheadMs", -clock_ahead_ms_max, clock_ahead_ms_max, 0);
  TRY(reader.finish());
  return poll;
}

std::string to_json(const NodeNews& news) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("generation", news.generation);
  append_runs(out, "cancel", news.cancel);
  append_shells(out, news.shells);
  out.end_object();
  return body;
}

Result<NodeNews> parse_node_news(std::string_view body) {
  TRY(auto document, parse_json(body));
  ObjectReader reader(document, "");
  NodeNews news;
  news.generation = static_cast<std::uint64_t>(reader.required_integer("generation", 0, INT64_MAX));
  news.cancel = read_runs(reader, "cancel");
  news.shells = read_shells(reader);
  TRY(reader.finish());
  return news;
}

std::string to_json(const RunReport& report) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("reason", name_of(report.reason)).field("logBytes", report.log_bytes);
  append_end(out, report.end);
  out.end_object();
  return body;
}

Result<RunReport> parse_run_report(std::string_view body) {
  TRY(auto document, parse_json(body));
  ObjectReader reader(document, "");
  RunReport report;
  std::string_view reason = reader.required_text("reason", {});
  auto parsed = parse_reason_resolved(reason);
  bool reportable = parsed && *parsed != ReasonResolved::canceled && *parsed != ReasonResolved::claim_expired &&
                    *parsed != ReasonResolved::deadline_exceeded;
  if (!reportable) reader.fail("reason", fmt::format("\"{}\" is not one that a worker reports", shorten(reason, 40)));
  report.reason = parsed.value_or(ReasonResolved::internal_error);
  report.log_bytes = reader.integer("logBytes", -1, std::int64_t{1} << 50, -1);
  report.end = read_end(reader);
  TRY(reader.finish());
  return report;
}

}  // namespace gantry::wire
