#include "sim/native_check.h"

#include <fmt/format.h>

#include "server/api/finish_log.h"
#include "sim/disk_check.h"

namespace gantry::sim {
namespace {

using wire::ReasonResolved;

/// What the agent puts into a log whose end the engine did not give it.
constexpr std::string_view cut_mark = "did not give the output to its end";
constexpr std::string_view finished_mark = "=== Task Finished ===";
/// An agent measures a container's time from when it learned of the start.
constexpr std::int64_t limit_early_us_max = 1'000'000;
constexpr std::int64_t log_limit_least_bytes = 60 * 1024;

const wire::ContainerEnd& end_of(const state::Run& record) {
  static const wire::ContainerEnd none;
  return record.exit ? *record.exit : none;
}

/// Nothing if there is no such object.
Async<std::optional<std::string>> read_object(object::ObjectStore& objects, std::string name) {
  std::string bytes;
  try {
    object::OpenObject object = co_await objects.open(name, 0, -1);
    for (;;) {
      std::string piece = co_await object.body->read_some();
      if (piece.empty()) break;
      bytes += piece;
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    co_return std::nullopt;
  }
  co_return bytes;
}

/// The container's files that an artifact is made of, with their names in the queue.
std::vector<ContainerFile> files_of(const wire::RunRef& run, const wire::ArtifactSpec& spec) {
  std::vector<ContainerFile> files;
  bool directory = spec.type == wire::ArtifactSpec::Type::directory;
  for (ContainerFile& file : container_files(run)) {
    if (!directory && file.path == spec.path) files.push_back({spec.name, file.content});
    std::string below = spec.path + "/";
    if (directory && file.path.starts_with(below)) {
      files.push_back({spec.name + "/" + file.path.substr(below.size()), file.content});
    }
  }
  return files;
}

bool all_there(const wire::RunRef& run, const wire::Payload& payload, const ContainerFact& fact) {
  for (const wire::ArtifactSpec& spec : payload.artifacts) {
    if (!fact.has_files || files_of(run, spec).empty()) return false;
  }
  return true;
}

}  // namespace

void NativeCheck::fail(const wire::RunRef& run, std::string_view what) const {
  fail_(fmt::format("run {} of native task {}: {}", run.run, run.task.to_string(), what));
}

const ContainerFact& NativeCheck::fact_of(const wire::RunRef& run) const {
  static const ContainerFact none;
  auto found = facts_.find(run);
  return found == facts_.end() ? none : found->second;
}

void NativeCheck::check_log(const wire::RunRef& run, std::string_view log) const {
  const ContainerFact& fact = fact_of(run);
  for (int stream : {1, 2}) {
    auto bytes = stream_in_log(log, stream);
    if (!bytes) return fail(run, "its log has something that neither its container nor its agent wrote");
    auto size = static_cast<std::int64_t>(bytes->size());
    std::int64_t produced = fact.produced[static_cast<std::size_t>(stream)];
    if (size > produced) {
      return fail(run,
                  fmt::format("its log has {} bytes of stream {}, of which there were {}", size, stream, produced));
    }
    if (*bytes == output_bytes(run, stream, 0, size)) continue;
    return fail(run, fmt::format("its log has a gap or a repetition in stream {}", stream));
  }
}

void NativeCheck::check_whole_log(const wire::RunRef& run, const state::Run& record, const std::string& log) const {
  bool cut = log.find(cut_mark) != std::string::npos || log.find(finished_mark) == std::string::npos;
  if (cut || end_of(record).cause == "log-limit") return;
  const ContainerFact& fact = fact_of(run);
  for (int stream : {1, 2}) {
    auto bytes = stream_in_log(log, stream).value_or("");
    std::int64_t produced = fact.produced[static_cast<std::size_t>(stream)];
    if (static_cast<std::int64_t>(bytes.size()) == produced) continue;
    fail(run, fmt::format("its log has {} of {} bytes of stream {}", bytes.size(), produced, stream));
  }
}

void NativeCheck::check_outcome(const wire::RunRef& run, const state::Run& record, const wire::Payload& payload) const {
  const ContainerFact& fact = fact_of(run);
  const wire::ContainerEnd& end = end_of(record);
  bool completed = record.reason_resolved == ReasonResolved::completed;
  if (end.cause == "exited") {
    bool true_end = fact.starts == 1 && fact.ended_by == EndedBy::itself && fact.exit_code == end.exit_code;
    if (!true_end) {
      return fail(run, fmt::format("reported with exit code {}; its container ended otherwise ({}, {})", end.exit_code,
                                   static_cast<int>(fact.ended_by), fact.exit_code));
    }
    if (end.out_of_memory && !fact.out_of_memory) fail(run, "reported as out of memory, which it was not");
    bool succeeded = fact.exit_code == 0 && all_there(run, payload, fact);
    if (succeeded != completed) fail(run, completed ? "completed although it failed" : "failed although it succeeded");
    return;
  }
  if (completed) return fail(run, fmt::format("completed, by \"{}\"", end.cause));
  std::int64_t ran_us = fact.ended_us - fact.started_us;
  bool right = false;
  if (end.cause == "not-started") right = fact.starts == 0;
  if (end.cause == "time-limit") {
    right = fact.starts == 1 && ran_us + limit_early_us_max >= payload.max_run_time.count() * 1000;
  }
  if (end.cause == "log-limit") right = fact.produced[1] + fact.produced[2] >= log_limit_least_bytes;
  if (!right) fail(run, fmt::format("failed by \"{}\", which is not true", end.cause));
}

Async<> NativeCheck::check_artifacts(wire::RunRef run, wire::Payload payload, object::ObjectStore& objects) const {
  for (const wire::ArtifactSpec& spec : payload.artifacts) {
    for (const ContainerFile& file : files_of(run, spec)) {
      auto stored = co_await read_object(objects, server::artifact_object({run.task, run.run, file.path}));
      if (stored && *stored == file.content) continue;
      fail(run, fmt::format("its artifact {} {}", file.path, stored ? "has another content" : "is missing"));
    }
  }
}

Async<> NativeCheck::check_all(store::Store& store, object::ObjectStore& objects, std::string native_queue) const {
  for (const auto& [id, facts] : oracle_.tasks()) {
    if (facts.definition.task_queue != native_queue || facts.created_us < 0) continue;
    auto task = read_resolved(store, id);
    if (!task) continue;  // check_facts() has its say about that
    json::value definition = value_or_throw(parse_json(facts.definition.canonical));
    wire::Payload payload = value_or_throw(wire::parse_payload(definition.at("payload")));
    for (int i = 0; i < static_cast<int>(task->runs.size()); ++i) {
      wire::RunRef run{id, i};
      const state::Run& record = task->runs[static_cast<std::size_t>(i)];
      std::string object = server::artifact_object({id, i, server::backing_name(payload.log)});
      auto log = co_await read_object(objects, std::move(object));
      if (log) check_log(run, *log);
      bool by_container =
          record.reason_resolved == ReasonResolved::completed || record.reason_resolved == ReasonResolved::failed;
      if (!by_container) continue;
      check_outcome(run, record, payload);
      if (log) check_whole_log(run, record, *log);
      if (!log) fail(run, "its log is not there");
      if (record.reason_resolved == ReasonResolved::completed) co_await check_artifacts(run, payload, objects);
    }
  }
}

}  // namespace gantry::sim
