#include "agent/taskcluster_queue.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/limits.h"
#include "agent/live_log_server.h"
#include "agent/pulse_listener.h"
#include "agent/task/artifact_upload.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::string_view log_type = "text/plain; charset=utf-8";
constexpr std::string_view backing_extension = "backing.log";
constexpr std::size_t claim_bytes_max = 16u << 20;  // of one task's definition, with room
constexpr const char* handed_back = R"({"reason":"worker-shutdown"})";

std::shared_ptr<const net::TlsContext> tls_of(const ForeignSettings& settings) {
  if (settings.log_certificate.empty()) return nullptr;
  return net::make_tls_server(settings.log_certificate, settings.log_key);
}

/// Of a claim's answer, without a claim in it.
Error no_tasks() { return Error(ErrorCode::invalid_input, "the server's answer has no tasks"); }

class TaskclusterQueue : public QueueLink {
 public:
  TaskclusterQueue(Env& env, ServerApi& server, ForeignSettings settings, std::string directory, std::string task_queue)
      : env_(env),
        server_(server),
        settings_(std::move(settings)),
        directory_(std::move(directory)),
        logs_(env, settings_.log_listen, tls_of(settings_)) {
    std::filesystem::create_directories(directory_);
    ::chmod(directory_.c_str(), 0700);
    for (const auto& file : std::filesystem::directory_iterator(directory_)) load(file.path().string());
    if (!settings_.pulse) return;
    auto told = [this](PulseNews news) { hear(news); };
    pulse_ = std::make_unique<PulseListener>(env, *settings_.pulse, std::move(task_queue), std::move(told));
    pulse_->start();
  }

  bool native() const override { return false; }

  Async<wire::NodeNews> poll(Signer, NodeId, wire::NodePoll poll) override {
    if (poll.restarted) {
      co_await hand_back_all_but(std::move(poll.holds));
    } else {
      if (ended_.empty()) co_await ended_some_.wait_for(env_, foreign_poll_pause);
    }
    wire::NodeNews news;
    news.cancel = std::exchange(ended_, {});
    co_return news;
  }

  Async<json::value> claim(Signer signer, std::string task_queue, std::string body, std::string) override {
    Duration began = env_.uptime();
    json::value answer = co_await ask_for_claims(std::move(signer), std::move(task_queue), std::move(body));
    const json::object* object = answer.if_object();
    const json::value* tasks = object ? object->if_contains("tasks") : nullptr;
    if (!tasks || !tasks->is_array()) throw no_tasks();
    for (const json::value& element : tasks->get_array()) co_await keep(read_claim(element).run, element);
    // A queue that has nothing and says so at once is not asked all the time.
    Duration took = env_.uptime() - began;
    if (tasks->get_array().empty() && took < foreign_claim_gap) {
      co_await pending_some_.wait_for(env_, foreign_claim_gap - took);
    }
    co_return answer;
  }

  Async<json::value> resume(Signer, wire::RunRef run, std::string) override {
    auto found = claims_.find(run);
    if (found == claims_.end()) throw Error(ErrorCode::not_found, "its claim is not known here");
    auto signer = std::make_shared<const wire::HawkSigner>(read_claim(found->second).credentials);
    co_await reclaim(std::move(signer), run);
    co_return claims_.at(run);
  }

  /// The agent's own credentials give no right to anybody's run: what ran out is lost.
  Async<RenewedClaim> renew(Signer, wire::RunRef, std::string) override {
    throw Error(ErrorCode::not_authorized, "the claim has run out");
    co_return RenewedClaim{};
  }

  Async<RenewedClaim> reclaim(Signer signer, wire::RunRef run) override {
    std::string text =
        co_await server_.post_json(std::move(signer), queue_run_path(run) + "/reclaim", "{}", request_timeout);
    json::value answer = value_or_throw(parse_json(text));
    RenewedClaim renewed = read_renewal(answer);
    auto found = claims_.find(run);
    if (found != claims_.end()) {
      json::value element = found->second;
      for (const char* part : {"takenUntil", "credentials"}) element.as_object()[part] = answer.at(part);
      co_await keep(run, std::move(element));
    }
    co_return renewed;
  }

  Async<> report(Signer signer, wire::RunRef run, wire::RunReport report) override {
    using wire::ReasonResolved;
    std::string how = "/exception";
    std::string body = fmt::format(R"({{"reason":"{}"}})", name_of(report.reason));
    if (report.reason == ReasonResolved::completed || report.reason == ReasonResolved::failed) {
      how = report.reason == ReasonResolved::completed ? "/completed" : "/failed";
      body = "{}";
    }
    co_await resolve(std::move(signer), run, how, std::move(body));
  }

  /// It goes out from the spool, by the log server and at the end.
  Async<std::int64_t> append_log(Signer, wire::RunRef, std::string, std::int64_t offset, std::string bytes) override {
    co_return offset + static_cast<std::int64_t>(bytes.size());
  }

  Async<> give_up(Signer, wire::RunRef run) override { co_await forget(run); }

  Async<> show_log(RunContext& run) override {
    std::optional<Error> failure;
    try {
      std::string host = settings_.log_host.empty() ? run.settings.host_name : settings_.log_host;
      std::string_view scheme = settings_.log_certificate.empty() ? "http" : "https";
      std::string path = logs_.show(run.run, run.log);
      std::string body;
      JsonWriter out(body);
      out.begin_object().field("storageType", "reference").field("expires", run.expires);
      out.field("contentType", log_type).field("url", fmt::format("{}://{}:{}{}", scheme, host, logs_.port(), path));
      out.end_object();
      std::string target = artifact_path(run, run.payload.log);
      co_await server_.post_json(run.signer, std::move(target), std::move(body), request_timeout);
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) log_warning("live log of task {}: {}", run.run.task.to_string(), failure->message());
  }

  Async<> keep_log(RunContext& run) override {
    logs_.finish(run.run);
    ScratchFile scratch(run.settings.spool_directory + "/" + run_file_name(run.run, backing_extension));
    std::int64_t bytes = co_await copy_log(run, scratch.path);
    std::string backing = backing_name(run.payload.log);
    co_await upload_file(run, backing, std::string(log_type), scratch.path, bytes);
    co_await link_log(run, std::move(backing));
  }

  Async<> hide_log(wire::RunRef run) override { co_await logs_.hide(run); }
  Async<> stop() override {
    if (pulse_) co_await pulse_->stop();
    co_await logs_.stop();
  }

 private:
  void hear(PulseNews news) {
    if (news.pending) pending_some_.notify_all();
    // Of runs that are others' nobody here wants to know.
    if (!news.ended || !claims_.contains(*news.ended)) return;
    ended_.push_back(*news.ended);
    ended_some_.notify_all();
  }

  std::string path_of(wire::RunRef run) const { return fmt::format("{}/{}", directory_, run_file_name(run, "json")); }

  void load(const std::string& path) {
    try {
      json::value element = value_or_throw(parse_json(read_text_file(path, claim_bytes_max)));
      claims_[read_claim(element).run] = element;
    } catch (const Error& error) {
      log_warning("{} is damaged and is removed: {}", path, error.message());
      std::filesystem::remove(path);
    }
  }

  /// Why nothing is claimed, told once; wrong credentials would else look like an empty queue.
  Async<json::value> ask_for_claims(Signer signer, std::string task_queue, std::string body) {
    std::optional<Error> failure;
    try {
      std::string answer = co_await server_.post_json(std::move(signer), "/api/queue/v1/claim-work/" + task_queue,
                                                      std::move(body), long_poll_timeout);
      trouble_.clear();
      co_return value_or_throw(parse_json(answer));
    } catch (const Error& error) {
      failure = error;
    }
    if (failure->message() != trouble_) log_warning("claim: {} ({})", failure->message(), failure->hint());
    trouble_ = failure->message();
    throw *failure;
  }

  Async<> keep(wire::RunRef run, json::value element) {
    claims_[run] = element;
    std::optional<Error> failure;
    try {
      co_await env_.blocking([path = path_of(run), text = json::serialize(element)] {
        write_private_file(path, text);
        return true;
      });
    } catch (const Error& error) {
      failure = error;
    }
    if (failure) log_warning("a restart would lose task {}: {}", run.task.to_string(), failure->message());
  }

  Async<> forget(wire::RunRef run) {
    claims_.erase(run);
    co_await env_.blocking([path = path_of(run)] {
      std::error_code ignored;
      return std::filesystem::remove(path, ignored);
    });
  }

  Async<> resolve(Signer signer, wire::RunRef run, std::string how, std::string body) {
    std::optional<Error> failure;
    try {
      co_await server_.post_json(std::move(signer), queue_run_path(run) + how, std::move(body), request_timeout);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure || !may_retry(*failure)) co_await forget(run);
    if (failure) throw *failure;
  }

  Async<> hand_back_all_but(std::vector<wire::RunRef> held) {
    std::map<wire::RunRef, json::value> others = claims_;
    for (wire::RunRef run : held) others.erase(run);
    for (const auto& [run, element] : others) {
      std::optional<Error> failure;
      try {
        auto signer = std::make_shared<const wire::HawkSigner>(read_claim(element).credentials);
        co_await resolve(std::move(signer), run, "/exception", handed_back);
      } catch (const Error& error) {
        failure = error;
      }
      if (failure && may_retry(*failure)) throw *failure;
      log_info("run {} of task {} was handed back{}", run.run, run.task.to_string(),
               failure ? ", but is no longer ours: " + failure->message() : "");
    }
  }

  Async<std::int64_t> copy_log(RunContext& run, std::string path) {
    auto file = std::make_shared<std::ofstream>(path, std::ios::binary | std::ios::trunc);
    std::int64_t offset = 0;
    for (;;) {
      auto piece = std::make_shared<std::string>(co_await run.log.read(offset));
      if (piece->empty()) break;
      offset += static_cast<std::int64_t>(piece->size());
      co_await env_.blocking([file, piece] {
        file->write(piece->data(), static_cast<std::streamsize>(piece->size()));
        return true;
      });
    }
    co_await env_.blocking([file] {
      file->close();
      if (!*file) throw Error(ErrorCode::unavailable, "cannot copy the log: is the disk full?");
      return true;
    });
    co_return offset;
  }

  Async<> link_log(RunContext& run, std::string backing) {
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("storageType", "link").field("expires", run.expires);
    out.field("artifact", backing).field("contentType", log_type).end_object();
    std::string target = artifact_path(run, run.payload.log);
    Duration until = env_.uptime() + report_patience;
    Duration delay = retry_delay_min;
    for (;;) {
      std::optional<Error> failure;
      try {
        co_await server_.post_json(run.signer, target, body, request_timeout);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) co_return;
      if (!may_retry(*failure) || env_.uptime() >= until) throw *failure;
      co_await env_.sleep(delay);
      delay = std::min(delay * 2, retry_delay_max);
    }
  }

  Env& env_;
  ServerApi& server_;
  const ForeignSettings settings_;
  const std::string directory_;
  LiveLogServer logs_;
  std::map<wire::RunRef, json::value> claims_;  // as claimWork gave them, with the newest credentials
  std::vector<wire::RunRef> ended_;             // as pulse said, and poll() has not told yet
  Event ended_some_;
  Event pending_some_;
  std::unique_ptr<PulseListener> pulse_;  // null: there is none
  std::string trouble_;                   // why nothing could be claimed, as told last
};

}  // namespace

std::string backing_name(const std::string& live_name) {
  auto slash = live_name.rfind('/');
  return (slash == std::string::npos ? "" : live_name.substr(0, slash + 1)) + "live_backing.log";
}

std::unique_ptr<QueueLink> make_taskcluster_queue(Env& env, ServerApi& server, ForeignSettings settings,
                                                  std::string directory, std::string task_queue) {
  return std::make_unique<TaskclusterQueue>(env, server, std::move(settings), std::move(directory),
                                            std::move(task_queue));
}

}  // namespace gantry::agent
