#include "sim/sim_network.h"

#include <algorithm>

#include "net/response_head.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t ms_us = 1'000;
constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t latency_us_min = 200;
constexpr std::int64_t latency_us_max = 5 * ms_us;
constexpr std::int64_t delay_us_max = 20 * second_us;
constexpr std::int64_t double_us_max = 15 * second_us;
constexpr std::int64_t notice_us_max = 200 * ms_us;          // until a server sees that its client is gone
constexpr std::int64_t late_notice_us_max = 90 * second_us;  // until a write to a dead connection fails
constexpr std::int64_t reset_us_max = 20 * second_us;

constexpr double lost_chance = 0.003;
constexpr double doubled_chance = 0.003;
constexpr double delayed_chance = 0.003;
constexpr double reset_chance = 0.003;
constexpr double noticed_chance = 0.7;
constexpr double told_late_chance = 0.6;

/// The server's view of whether its client is still there.
class ExchangeWatch : public net::PeerWatch {
 public:
  ExchangeWatch(std::shared_ptr<Exchange> exchange, Executor executor)
      : exchange_(std::move(exchange)), executor_(executor) {}

  void on_gone(std::function<void()> gone) override {
    exchange_->gone = std::move(gone);
    if (!exchange_->gone || !exchange_->peer_gone) return;
    asio::post(executor_, [exchange = exchange_] { exchange->client_left(); });
  }

 private:
  std::shared_ptr<Exchange> exchange_;
  Executor executor_;
};

/// An upload is sent once it is complete: one that breaks off is never seen by the server.
Async<std::string> read_upload(net::OutgoingRequest& request) {
  std::string bytes;
  for (;;) {
    std::string piece = co_await request.stream->read_some();
    if (piece.empty()) break;
    bytes += piece;
  }
  if (request.stream_bytes >= 0 && static_cast<std::int64_t>(bytes.size()) != request.stream_bytes) {
    throw Error(ErrorCode::internal, "an upload has another length than was announced");
  }
  co_return bytes;
}

}  // namespace

/// The client no longer waits, however its wait ended.
struct SimNetwork::LeaveOnEnd {
  SimNetwork& network;
  std::shared_ptr<Exchange> exchange;
  LeaveOnEnd(SimNetwork& n, std::shared_ptr<Exchange> e) : network(n), exchange(std::move(e)) {}
  LeaveOnEnd(const LeaveOnEnd&) = delete;
  LeaveOnEnd& operator=(const LeaveOnEnd&) = delete;
  ~LeaveOnEnd() { network.leave(exchange); }
};

Link::Link(SimNetwork& network, SimEnv& env, std::string name)
    : network_(network), env_(&env), name_(std::move(name)) {}

bool Link::is_cut() const { return cut_until_us_ > network_.env_.uptime_us(); }

Async<net::IncomingResponse> Link::exchange(net::OutgoingRequest request, std::size_t) {
  if (request.stream) request.body = co_await read_upload(request);
  auto exchange = std::make_shared<Exchange>();
  exchange->id = ++network_.last_id_;
  exchange->link = this;
  exchange->method = request.method;
  exchange->target = std::move(request.target);
  exchange->headers = std::move(request.headers);
  exchange->body = std::move(request.body);
  SimNetwork::LeaveOnEnd leave(network_, exchange);
  TimerId timer = 0;
  auto start = [this, exchange, &timer, timeout = request.timeout](Resumer<Reply> resume) {
    exchange->caller = resume;
    timer = env_->call_after(timeout, [resume] { resume(Reply{Reply::Kind::timed_out, {}}); });
    network_.send(exchange);
  };
  CancelTimer cancel_timer{*env_, timer};
  Reply reply = co_await suspend<Reply>(start);
  switch (reply.kind) {
    case Reply::Kind::answered: co_return std::move(reply.response);
    case Reply::Kind::timed_out: throw Error(ErrorCode::deadline_exceeded, "no answer came in time");
    case Reply::Kind::refused: throw Error(ErrorCode::unavailable, "connection refused");
    case Reply::Kind::broken: break;
  }
  throw Error(ErrorCode::unavailable, "the connection broke");
}

Async<net::OpenResponse> Link::open(net::OutgoingRequest request) {
  net::OpenResponse response;
  response.head = co_await exchange(std::move(request), 0);
  response.body = std::make_shared<net::StringBody>(std::exchange(response.head.body, {}));
  co_return response;
}

Async<std::shared_ptr<net::RawStream>> Link::upgrade(net::OutgoingRequest, std::string) {
  throw Error(ErrorCode::unsupported, "the simulated network has no upgrades");
  co_return nullptr;
}

std::int64_t SimNetwork::latency_us() {
  Random& random = env_.random_source();
  std::int64_t us = random.between(latency_us_min, latency_us_max);
  if (faults_.fires(Fault::message_delayed, random, delayed_chance)) us += random.between(ms_us, delay_us_max);
  return us;
}

void SimNetwork::send(std::shared_ptr<Exchange> exchange) {
  Random& random = env_.random_source();
  if (exchange->link->is_cut()) return;
  if (faults_.fires(Fault::request_lost, random, lost_chance)) return;
  if (faults_.fires(Fault::connection_reset, random, reset_chance)) {
    env_.call_after_us(random.between(0, reset_us_max), [this, exchange] { reply(exchange, Reply::Kind::broken); });
  }
  if (faults_.fires(Fault::request_doubled, random, doubled_chance)) {
    auto ghost = std::make_shared<Exchange>(*exchange);
    ghost->id = ++last_id_;
    ghost->caller.reset();
    ghost->ghost = true;
    ghost->peer_gone = random.chance(noticed_chance);
    std::int64_t later = random.between(ms_us, double_us_max);
    env_.call_after_us(latency_us() + later, [this, ghost] { arrive(ghost); });
  }
  env_.call_after_us(latency_us(), [this, exchange] { arrive(exchange); });
}

void SimNetwork::arrive(std::shared_ptr<Exchange> exchange) {
  if (exchange->link->is_cut()) return;
  if (!endpoint_) {
    env_.call_after_us(latency_us(), [this, exchange] { reply(exchange, Reply::Kind::refused); });
    return;
  }
  // Through the server's own timers, so that a server which stands still does not answer.
  endpoint_->env.call_after_us(0, [this, endpoint = endpoint_, exchange] { deliver(endpoint, exchange); });
}

void SimNetwork::deliver(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange) {
  if (!endpoint->alive || endpoint_ != endpoint) {
    reply(exchange, Reply::Kind::broken);
    return;
  }
  trace_.event(env_.uptime_us(), "request", exchange->target, exchange->id);
  trace_.mix(exchange->body);
  observer_.on_arrival(*exchange);
  endpoint->active.push_back(exchange);
  endpoint->requests.spawn("request", serve(endpoint, exchange));
}

Async<> SimNetwork::serve(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange) {
  net::Request request;
  request.method = exchange->method;
  request.target = exchange->target;
  request.headers = exchange->headers;
  request.peer = exchange->link->name();
  request.content_length = static_cast<std::int64_t>(exchange->body.size());
  request.body = std::make_shared<net::StringBody>(exchange->body);
  request.peer_watch = std::make_shared<ExchangeWatch>(exchange, env_.executor());
  net::Response response = co_await endpoint->handler.handle(std::move(request));
  if (!endpoint->alive) co_return;  // the process is gone, and this is its burial
  std::erase(endpoint->active, exchange);
  trace_.event(env_.uptime_us(), "answer", exchange->target, exchange->id);
  trace_.mix(static_cast<std::uint64_t>(response.status));
  trace_.mix(response.body);
  observer_.on_answer(*exchange, response);
  bool whole = !response.stream || co_await read_stream(exchange, response);
  if (!endpoint->alive) co_return;
  if (!whole) {
    reply(exchange, Reply::Kind::broken);
    co_return;
  }
  answer(endpoint, exchange, std::move(response));
}

/// Into the response's body, as long as its client is there; false if it cannot be read to its end.
Async<bool> SimNetwork::read_stream(std::shared_ptr<Exchange> exchange, net::Response& response) {
  auto stream = std::exchange(response.stream, nullptr);
  try {
    while (!exchange->peer_gone) {
      std::string piece = co_await stream->read_some();
      if (piece.empty()) break;
      response.body += piece;
    }
  } catch (const Error&) {
    co_return false;
  }
  trace_.event(env_.uptime_us(), "streamed", exchange->target, exchange->id);
  trace_.mix(response.body);
  co_return true;
}

void SimNetwork::answer(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange,
                        net::Response response) {
  Random& random = env_.random_source();
  if (exchange->peer_gone) {
    if (response.undelivered) response.undelivered();
    return;
  }
  bool lost = !exchange->caller || exchange->caller->done() || exchange->link->is_cut() ||
              faults_.fires(Fault::answer_lost, random, lost_chance);
  if (lost) {
    not_delivered(endpoint, std::move(response.undelivered));
    return;
  }
  response.headers.add("date", net::http_date(endpoint->env.now()));
  auto shared = std::make_shared<net::Response>(std::move(response));
  env_.call_after_us(latency_us(), [this, endpoint, exchange, shared] { hand_over(endpoint, exchange, shared); });
}

void SimNetwork::hand_over(std::shared_ptr<Endpoint> endpoint, std::shared_ptr<Exchange> exchange,
                           std::shared_ptr<net::Response> response) {
  if (!exchange->caller || exchange->caller->done() || exchange->link->is_cut()) {
    not_delivered(endpoint, std::move(response->undelivered));
    return;
  }
  exchange->over = true;
  Reply reply{Reply::Kind::answered, {response->status, std::move(response->headers), std::move(response->body)}};
  (*exchange->caller)(std::move(reply));
}

void SimNetwork::not_delivered(std::shared_ptr<Endpoint> endpoint, std::function<void()> undelivered) {
  Random& random = env_.random_source();
  if (!undelivered || !endpoint->alive || !random.chance(told_late_chance)) return;
  // By way of the server's timers: if it is dead by then, nobody is told.
  endpoint->env.call_after_us(random.between(0, late_notice_us_max), [endpoint, tell = std::move(undelivered)] {
    if (endpoint->alive) tell();
  });
}

void SimNetwork::leave(std::shared_ptr<Exchange> exchange) {
  exchange->caller.reset();
  if (exchange->over) return;
  Random& random = env_.random_source();
  if (exchange->link->is_cut() || !random.chance(noticed_chance)) return;
  env_.call_after_us(random.between(ms_us, notice_us_max), [exchange] { exchange->client_left(); });
}

void SimNetwork::reply(std::shared_ptr<Exchange> exchange, Reply::Kind kind) {
  if (kind == Reply::Kind::refused) exchange->over = true;
  if (exchange->caller && !exchange->link->is_cut()) (*exchange->caller)(Reply{kind, {}});
}

void SimNetwork::server_died(Endpoint& endpoint) {
  endpoint.alive = false;
  if (endpoint_.get() == &endpoint) endpoint_ = nullptr;
  for (auto& exchange : std::exchange(endpoint.active, {})) {
    exchange->gone = nullptr;
    env_.call_after_us(latency_us(), [this, exchange] { reply(exchange, Reply::Kind::broken); });
  }
  observer_.on_server_gone();
}

}  // namespace gantry::sim
