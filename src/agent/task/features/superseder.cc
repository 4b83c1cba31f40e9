// payload.supersederUrl: of the tasks that its service names, only the newest is run (docs/features.md).
//
// Whichever of them is claimed looks around. If a newer one is waiting, running or done, it makes way. Else it is the
// newest, takes the older ones that still wait, and resolves them in its own favour. Tasks that do not name the same
// supersederUrl are left alone, so that nobody's task can be taken away by a service it has not chosen.
#include "agent/task/superseder.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/task/artifact_upload.h"
#include "agent/task/claimed_run.h"
#include "agent/task/feature.h"
#include "agent/task/one_line.h"
#include "net/http_client.h"

namespace gantry::agent {
namespace {

constexpr Duration ask_timeout = seconds(5);
constexpr int status_ok = 200;
constexpr const char* json_type = "application/json";

struct Standing {
  std::string state;
  int run = 0;  // the newest
};

class Superseder : public Feature {
 public:
  Async<> link(RunContext& run) override {
    if (run.adopted) co_return;
    std::optional<Error> failure;
    try {
      co_await look_around(run);
    } catch (const Error& error) {
      failure = error;
    }
    // A service that is down must not keep the task from being done.
    if (failure) {
      co_await run.log.error_line(
          one_line(fmt::format("payload.supersederUrl: {}; the task is run as if it had none", failure->message())));
    }
  }

 private:
  static Async<> look_around(RunContext& run) {
    const std::vector<TaskId> tasks = co_await ask(run);
    for (auto newer = tasks.rbegin(); newer != tasks.rend() && *newer != run.run.task; ++newer) {
      auto standing = co_await standing_of(run, *newer);
      bool stands =
          standing && (standing->state == "pending" || standing->state == "running" || standing->state == "completed");
      if (!stands) continue;
      co_await keep_json(run, run.run, run.signer, run.expires, "public/superseded-by.json",
                         superseded_by({*newer, standing->run}));
      run.superseded_by = newer->to_string();
      co_return;
    }
    std::vector<TaskId> taken;
    for (TaskId older : tasks) {
      if (older == run.run.task) break;
      bool done = co_await take_out(run, older);
      if (done) taken.push_back(older);
    }
    if (taken.empty()) co_return;
    std::string body;
    JsonWriter out(body);
    out.begin_object().key("supersedes").begin_array();
    for (TaskId task : taken) out.string(task.to_string());
    out.end_array().end_object();
    co_await keep_json(run, run.run, run.signer, run.expires, "public/supersedes.json", std::move(body));
  }

  static Async<std::vector<TaskId>> ask(RunContext& run) {
    SupersederRequest request = value_or_throw(superseder_request(run.payload.superseder_url, run.run.task));
    net::Endpoint endpoint = value_or_throw(net::parse_endpoint(request.base));
    endpoint.elsewhere_only = !run.settings.superseder_anywhere;
    auto transport =
        run.settings.outside ? run.settings.outside(endpoint) : net::make_http_client(run.env, endpoint, 0);
    net::OutgoingRequest get;
    get.target = request.target;
    get.timeout = ask_timeout;
    get.headers.add("host", endpoint.host_header());
    net::IncomingResponse answer = co_await transport->exchange(std::move(get), superseder_answer_bytes_max);
    if (answer.status != status_ok) {
      throw Error(ErrorCode::unavailable, fmt::format("{} answered {}", endpoint.to_string(), answer.status));
    }
    co_return value_or_throw(parse_superseded(answer.body, run.run.task));
  }

  /// Nothing if it is not there, not of this task queue or not of this superseder.
  static Async<std::optional<Standing>> standing_of(RunContext& run, TaskId task) {
    std::optional<Error> failure;
    try {
      const std::string path = "/api/queue/v1/task/" + task.to_string();
      json::value definition = value_or_throw(parse_json(co_await get(run, path)));
      if (!has_superseder(definition, run.payload.superseder_url)) co_return std::nullopt;
      json::value answer = value_or_throw(parse_json(co_await get(run, path + "/status")));
      const json::object& status = answer.as_object().at("status").as_object();
      if (status.at("taskQueueId").as_string() != run.settings.task_queue) co_return std::nullopt;
      Standing standing;
      standing.state = status.at("state").as_string();
      standing.run = std::max(0, static_cast<int>(status.at("runs").as_array().size()) - 1);
      co_return standing;
    } catch (const Error& error) {
      failure = error;
    } catch (const std::exception&) {
      failure = Error(ErrorCode::invalid_input, "the server's answer has no status");
    }
    if (failure->code() != ErrorCode::not_found) throw *failure;
    co_return std::nullopt;
  }

  static Async<std::string> get(RunContext& run, std::string path) {
    return run.server.call(run.signer, net::Method::get, std::move(path), "", "", request_timeout);
  }

  /// Claims an older task and resolves it as superseded. False if it is not to be had, or somebody was faster.
  static Async<bool> take_out(RunContext& run, TaskId task) {
    auto standing = co_await standing_of(run, task);
    if (!standing || standing->state != "pending") co_return false;
    const wire::RunRef ref{task, standing->run};
    std::optional<Error> failure;
    try {
      std::string body;
      JsonWriter out(body);
      out.begin_object().field("workerGroup", run.settings.worker_group).field("workerId", run.settings.worker_id);
      out.end_object();
      std::string answer = co_await run.server.post_json(run.settings.agent_signer, queue_run_path(ref) + "/claim",
                                                         std::move(body), request_timeout);
      ClaimedRun claim = read_claim(value_or_throw(parse_json(answer)));
      auto signer = std::make_shared<const wire::HawkSigner>(claim.credentials);
      co_await keep_json(run, ref, signer, claim.expires, "public/superseded-by.json", superseded_by(run.run));
      co_await run.server.post_json(signer, queue_run_path(ref) + "/exception", R"({"reason":"superseded"})",
                                    request_timeout);
    } catch (const Error& error) {
      failure = error;
    }
    std::string name = task.to_string();
    co_await run.log.line(one_line(failure ? fmt::format("Task {} is not superseded: {}", name, failure->message())
                                           : fmt::format("Supersedes task {}", name)));
    co_return !failure;
  }

  static std::string superseded_by(wire::RunRef by) {
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("taskId", by.task.to_string()).field("runId", by.run).end_object();
    return body;
  }

  /// An artifact of `of`, by its credentials.
  static Async<> keep_json(RunContext& run, wire::RunRef of, Signer signer, Time expires, std::string name,
                           std::string text) {
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("storageType", "s3").field("expires", expires).field("contentType", json_type);
    out.field("contentLength", static_cast<std::int64_t>(text.size())).end_object();
    const std::string path = fmt::format("{}/artifacts/{}", queue_run_path(of), net::percent_encode(name));
    json::value answer = value_or_throw(
        parse_json(co_await run.server.post_json(std::move(signer), path, std::move(body), request_timeout)));
    const json::object* object = answer.if_object();
    const json::value* url = object ? object->if_contains("putUrl") : nullptr;
    if (!url || !url->is_string()) throw Error(ErrorCode::invalid_input, "the server's answer has no putUrl");
    auto bytes = static_cast<std::int64_t>(text.size());
    co_await run.server.put_url(std::string(url->get_string()), json_type,
                                std::make_shared<net::StringBody>(std::move(text)), bytes);
  }
};

}  // namespace

std::unique_ptr<Feature> make_superseder() { return std::make_unique<Superseder>(); }

}  // namespace gantry::agent
