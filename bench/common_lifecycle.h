// The life-cycle of a task as benchmarks drive it over HTTP: create, claim, complete, each signed and checked.
#pragma once

#include <optional>

#include "base/env.h"
#include "base/ids.h"
#include "bench/common_load.h"
#include "bench/common_server.h"

namespace gantry::bench {
inline constexpr int clients = 64;
inline constexpr const char* queue = "bench/lifecycles";

struct World {
  Env& env;
  wire::HawkSigner root;
  std::string host;
  std::uint16_t port;
  std::int64_t until_us;
  std::uint64_t completed = 0;
  std::uint64_t limit;  // stop after so many
  bool create_only = false;
  // With these the creator and the worker are not root, and tasks come in groups.
  std::optional<wire::HawkSigner> creator{};
  std::optional<wire::HawkSigner> worker{};
  std::uint64_t group_size = 0;  // 0: each task is alone
  std::uint64_t created = 0;
  TaskGroupId group{};
};

inline std::string request(World& world, const wire::HawkSigner& signer, std::string_view method,
                           std::string_view target, std::string_view body) {
  wire::HawkTarget signed_target{method, target, world.host, world.port};
  std::string authorization = signer.header(signed_target, world.env.now(), wire::hawk_nonce(world.env));
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: {}:{}\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: "
      "{}\r\n\r\n{}",
      method, target, world.host, world.port, authorization, body.size(), body);
}

/// About 1.5 KB, as a small CI task has.
inline std::string definition(Env& env) {
  Time now = env.now();
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("taskQueueId", queue).field("created", now).field("deadline", now + hours(1));
  out.key("metadata").begin_object().field("name", "bench").field("description", std::string(400, 'd'));
  out.field("owner", "bench@example.com").field("source", "https://example.com/bench").end_object();
  out.key("payload").begin_object().field("image", "example:1").field("maxRunTime", 600);
  out.key("command").begin_array().string("sh").string("-c").string(std::string(500, 'c')).end_array();
  out.key("env").begin_object().field("A", "1").field("B", "2").end_object().end_object().end_object();
  return body;
}

/// The same for a task with its own scopes, in the group whose turn it is.
inline std::string grouped_definition(World& world, TaskId id) {
  if (world.created++ % world.group_size == 0) world.group = id;
  std::string body = definition(world.env);
  body.insert(1, fmt::format(R"("taskGroupId":"{}","schedulerId":"bench","scopes":["bench:read:*"],)",
                             world.group.to_string()));
  return body;
}

inline std::string_view between(std::string_view text, std::string_view before, char after) {
  std::size_t at = text.find(before);
  if (at == std::string_view::npos) return {};
  at += before.size();
  return text.substr(at, text.find(after, at) - at);
}

/// The certificate is a JSON string within JSON: undo its escapes.
inline std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) out += text[i] == '\\' ? text[++i] : text[i];
  return out;
}

class LifeCycle : public Sequence {
 public:
  explicit LifeCycle(World& world) : world_(world) {}

  std::string next(int status, std::string_view body) override {
    if (status >= 300) {
      fmt::print(stderr, "answer {}: {}\n", status, body);
      std::exit(1);
    }
    switch (step_++) {
      case 0: {
        TaskId id = TaskId::random(world_.env);
        std::string task = world_.group_size > 0 ? grouped_definition(world_, id) : definition(world_.env);
        return request(world_, signer(world_.creator), "PUT", "/api/queue/v1/task/" + id.to_string(), task);
      }
      case 1:
        if (world_.create_only) break;
        return request(world_, signer(world_.worker), "POST", std::string("/api/queue/v1/claim-work/") + queue,
                       R"({"workerGroup":"bench","workerId":"bench","tasks":1})");
      case 2: return complete(body);
      default: break;
    }
    step_ = 0;
    ++world_.completed;
    if (world_.completed >= world_.limit || world_.env.uptime_us() >= world_.until_us) return {};
    return next(0, {});
  }

 private:
  std::string complete(std::string_view claim) {
    std::string_view task = between(claim, R"("taskId":")", '"');
    std::string_view run = between(claim, R"("takenUntil")", ']').empty() ? "" : "0";
    if (task.empty() || run.empty()) {
      fmt::print(stderr, "nothing was claimed: {}\n", claim.substr(0, 200));
      std::exit(1);
    }
    std::size_t at = claim.find(R"("credentials":)");
    std::string_view credentials = claim.substr(at);
    std::size_t start = credentials.find(R"("certificate":")") + 15;
    std::size_t end = credentials.rfind("\"}");
    wire::HawkSigner signer({std::string(between(credentials, R"("clientId":")", '"')),
                             std::string(between(credentials, R"("accessToken":")", '"')),
                             unescape(credentials.substr(start, end - start))});
    return request(world_, signer, "POST", fmt::format("/api/queue/v1/task/{}/runs/{}/completed", task, run), "{}");
  }

  const wire::HawkSigner& signer(const std::optional<wire::HawkSigner>& own) const { return own ? *own : world_.root; }

  World& world_;
  int step_ = 0;
};

/// Completed life-cycles per second.
inline double run_clients(World& world) {
  std::vector<LifeCycle> cycles(clients, LifeCycle(world));
  std::vector<Sequence*> sequences;
  for (auto& cycle : cycles) sequences.push_back(&cycle);
  std::int64_t begin = world.env.uptime_us();
  Load(world.port).run(sequences);
  return static_cast<double>(world.completed) / (static_cast<double>(world.env.uptime_us() - begin) / 1e6);
}

}  // namespace gantry::bench
