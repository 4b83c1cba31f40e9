// payload.graphs: files of the stopped container, each with tasks that are added to the task's own group, in the task's
// name (extendTaskGraph in taskcluster.md 1.2). What goes wrong is in the log and changes nothing else.
#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/task/feature.h"
#include "agent/task/graph_file.h"
#include "agent/task/one_line.h"
#include "agent/task/scopes.h"
#include "engine/tar_reader.h"

namespace gantry::agent {
namespace {

constexpr int create_tries_max = 8;

std::string text_of(const RunContext& run, std::string_view key) {
  const json::object* task = run.task ? run.task->if_object() : nullptr;
  const json::value* value = task ? task->if_contains(key) : nullptr;
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

class Graphs : public Feature {
 public:
  Async<> stopped(RunContext& run) override {
    for (const std::string& path : run.payload.graphs) {
      std::optional<Error> failure;
      try {
        co_await extend(run, path);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) continue;
      std::string hint = failure->hint().empty() ? "" : "; " + failure->hint();
      co_await run.log.error_line(
          one_line(fmt::format("Graph \"{}\" was not added: {}{}", path, failure->message(), hint)));
    }
  }

 private:
  static Async<> extend(RunContext& run, std::string path) {
    std::string text = co_await read_file(run, path);
    std::string group = text_of(run, "taskGroupId");
    std::vector<GraphTask> tasks = value_or_throw(read_graph(text, group, text_of(run, "schedulerId")));
    auto signer = std::make_shared<const wire::HawkSigner>(run.signer->narrowed(task_scopes(run)));
    for (const GraphTask& task : tasks) co_await create(run, signer, task);
    co_await run.log.line(fmt::format("Successfully extended graph id: {} with {} task(s)", group, tasks.size()));
  }

  static Async<std::string> read_file(RunContext& run, std::string path) {
    auto archive = co_await run.engine.copy_out(run.container, path);
    engine::TarReader tar(archive);
    auto entry = co_await tar.next();
    if (!entry || entry->type != engine::TarEntryType::file) throw Error(ErrorCode::invalid_input, "is not a file");
    if (entry->bytes > graph_bytes_max) {
      throw Error(ErrorCode::too_large, fmt::format("has more than {} bytes", graph_bytes_max));
    }
    std::string text;
    for (;;) {
      std::string piece = co_await tar.read_some();
      if (piece.empty()) break;
      text += piece;
    }
    co_return text;
  }

  /// The same task once more is fine with the server.
  static Async<> create(RunContext& run, Signer signer, GraphTask task) {
    Duration delay = retry_delay_min;
    for (int attempt = 1;; ++attempt) {
      std::optional<Error> failure;
      try {
        co_await run.server.call(signer, net::Method::put, "/api/queue/v1/task/" + task.id, task.definition,
                                 "application/json", request_timeout);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) co_return;
      if (!may_retry(*failure) || attempt == create_tries_max) throw failure->in(fmt::format("task {}", task.id));
      co_await run.env.sleep(delay);
      delay = std::min(delay * 2, retry_delay_max);
    }
  }
};

}  // namespace

std::unique_ptr<Feature> make_graphs() { return std::make_unique<Graphs>(); }

}  // namespace gantry::agent
