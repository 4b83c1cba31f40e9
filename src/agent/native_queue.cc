// Gantry's own server, by its native channel.
#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/queue_link.h"
#include "base/json.h"

namespace gantry::agent {
namespace {

class NativeQueue : public QueueLink {
 public:
  explicit NativeQueue(ServerApi& server) : server_(server) {}

  bool native() const override { return true; }

  Async<wire::NodeNews> poll(Signer signer, NodeId node, wire::NodePoll poll) override {
    std::string target = fmt::format("/v1/nodes/{}/poll", node.to_string());
    std::string answer =
        co_await server_.post_json(std::move(signer), std::move(target), wire::to_json(poll), long_poll_timeout);
    co_return value_or_throw(wire::parse_node_news(answer));
  }

  Async<json::value> claim(Signer signer, std::string task_queue, std::string body, std::string token) override {
    std::string answer = co_await server_.claim_work(std::move(signer), "/api/queue/v1/claim-work/" + task_queue,
                                                     std::move(body), std::move(token), long_poll_timeout);
    co_return value_or_throw(parse_json(answer));
  }

  Async<json::value> resume(Signer signer, wire::RunRef run, std::string worker) override {
    std::string answer = co_await server_.post_json(std::move(signer), native_run_path(run) + "/resume",
                                                    std::move(worker), request_timeout);
    co_return value_or_throw(parse_json(answer));
  }

  Async<RenewedClaim> renew(Signer signer, wire::RunRef run, std::string worker) override {
    json::value answer = co_await resume(std::move(signer), run, std::move(worker));
    co_return read_renewal(answer);
  }

  Async<RenewedClaim> reclaim(Signer signer, wire::RunRef run) override {
    std::string answer =
        co_await server_.post_json(std::move(signer), queue_run_path(run) + "/reclaim", "{}", request_timeout);
    co_return read_renewal(value_or_throw(parse_json(answer)));
  }

  Async<> report(Signer signer, wire::RunRef run, wire::RunReport report) override {
    co_await server_.post_json(std::move(signer), native_run_path(run) + "/report", wire::to_json(report),
                               request_timeout);
  }

  Async<std::int64_t> append_log(Signer signer, wire::RunRef run, std::string name, std::int64_t offset,
                                 std::string bytes) override {
    co_return co_await server_.append_log(std::move(signer), run, std::move(name), offset, std::move(bytes));
  }

  Async<> give_up(Signer signer, wire::RunRef run) override {
    co_await server_.call(std::move(signer), net::Method::post, native_run_path(run) + "/log/close", "", "",
                          last_words_timeout);
  }

  Async<> show_log(RunContext&) override { co_return; }
  Async<> keep_log(RunContext&) override { co_return; }
  Async<> hide_log(wire::RunRef) override { co_return; }
  Async<> stop() override { co_return; }

 private:
  ServerApi& server_;
};

}  // namespace

std::unique_ptr<QueueLink> make_native_queue(ServerApi& server) { return std::make_unique<NativeQueue>(server); }

}  // namespace gantry::agent
