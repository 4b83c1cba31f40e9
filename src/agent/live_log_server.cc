#include "agent/live_log_server.h"

#include "agent/limits.h"
#include "agent/task/run_log.h"

namespace gantry::agent {
namespace {

constexpr std::string_view prefix = "/log/";
constexpr Duration stop_grace = seconds(1);

net::Response plain(int status, std::string text) {
  net::Response response;
  response.status = status;
  response.headers.add("content-type", "text/plain; charset=utf-8");
  response.headers.add("access-control-allow-origin", "*");
  response.body = std::move(text);
  return response;
}

}  // namespace

struct LiveLogServer::Shown {
  std::string token;
  RunLog* log = nullptr;  // null once it is hidden
  bool finished = false;
  int readers = 0;
  int reading = 0;  // of `log`, this moment
  Event news;       // of all of these
};

/// One reader.
class LiveLogServer::Tail : public net::BodyReader {
 public:
  Tail(Env& env, std::shared_ptr<Shown> shown, std::shared_ptr<int> readers)
      : env_(env), shown_(std::move(shown)), readers_(std::move(readers)) {
    ++*readers_;
    ++shown_->readers;
  }
  Tail(const Tail&) = delete;
  Tail& operator=(const Tail&) = delete;
  ~Tail() override {
    --*readers_;
    --shown_->readers;
    shown_->news.notify_all();
  }

  Async<std::string> read_some() override {
    while (shown_->log) {
      bool last = shown_->finished;  // before it is read: then nothing comes after an empty piece
      std::string piece = co_await read_piece();
      offset_ += static_cast<std::int64_t>(piece.size());
      if (!piece.empty() || last) co_return piece;
      co_await shown_->news.wait_for(env_, log_look_interval);
    }
    co_return std::string();
  }

 private:
  struct Reading {
    std::shared_ptr<Shown> shown;
    explicit Reading(std::shared_ptr<Shown> s) : shown(std::move(s)) { ++shown->reading; }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() {
      --shown->reading;
      shown->news.notify_all();
    }
  };

  Async<std::string> read_piece() {
    if (shown_->log->bytes() <= offset_) co_return std::string();
    Reading reading(shown_);
    co_return co_await shown_->log->read(offset_);
  }

  Env& env_;
  std::shared_ptr<Shown> shown_;
  std::shared_ptr<int> readers_;
  std::int64_t offset_ = 0;
};

LiveLogServer::LiveLogServer(Env& env, const std::string& listen_address, std::shared_ptr<const net::TlsContext> tls)
    : env_(env), server_(env, listen_address, *this) {
  if (tls) server_.use_tls(std::move(tls));
  server_.start();
}

LiveLogServer::~LiveLogServer() = default;

std::string LiveLogServer::show(wire::RunRef run, RunLog& log) {
  auto shown = std::make_shared<Shown>();
  shown->token = TaskId::random(env_).to_string();
  shown->log = &log;
  shown_[run] = shown;
  return std::string(prefix) + shown->token;
}

void LiveLogServer::finish(wire::RunRef run) {
  auto found = shown_.find(run);
  if (found == shown_.end()) return;
  found->second->finished = true;
  found->second->news.notify_all();
}

Async<> LiveLogServer::hide(wire::RunRef run) {
  auto found = shown_.find(run);
  if (found == shown_.end()) co_return;
  finish(run);
  std::shared_ptr<Shown> shown = found->second;
  shown_.erase(found);
  Duration until = env_.uptime() + log_drain_patience;
  for (Duration left = log_drain_patience; shown->readers > 0 && left > Duration(0); left = until - env_.uptime()) {
    co_await shown->news.wait_for(env_, left);
  }
  shown->log = nullptr;
  while (shown->reading > 0) co_await shown->news.wait();
}

Async<> LiveLogServer::stop() { co_await server_.stop(stop_grace); }

Async<net::Response> LiveLogServer::handle(net::Request request) {
  if (request.method != net::Method::get) co_return plain(405, "only GET\n");
  std::string_view path = request.path();
  if (!path.starts_with(prefix)) co_return plain(404, "no such page\n");
  for (const auto& [run, shown] : shown_) {
    if (path.substr(prefix.size()) != shown->token) continue;
    if (*readers_ >= log_readers_max) co_return plain(503, "too many readers; try again later\n");
    net::Response response = plain(200, "");
    response.stream = std::make_shared<Tail>(env_, shown, readers_);
    co_return response;
  }
  co_return plain(401, "no such log here, or no longer: look at the task's artifacts\n");
}

}  // namespace gantry::agent
